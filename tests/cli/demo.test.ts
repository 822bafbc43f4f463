// What a newcomer sees. The claims of the demo are those of the issue; that a seed shows them is the explorer's business.

import { existsSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { quiesce, type Ran, temporaryFolder } from "./test-support.ts";

const { path, remove } = temporaryFolder();
const out = path("out");
let ran: Ran;

beforeAll(async () => {
  ran = await quiesce(["demo", "--out", out]);
}, 120_000);
afterAll(remove);

describe("quiesce demo", () => {
  it("exits with 0: it saw what it expects, and complains about nothing", () => {
    expect(ran.stderr).toBe("");
    expect(ran.code).toBe(0);
  });

  it("replays all three recordings and says that every event came out identical", () => {
    expect(ran.stdout).toMatch(/identical: all [\d,]+ events of all three/);
  });

  it("prints each race with the list, the node, both functions, why, and the drain that would cover it", () => {
    const [, unsafe = ""] =
      /Judged: without the drains\n([\s\S]*?)\nJudged:/.exec(ran.stdout) ?? [];
    const races = unsafe.split(/^ {2}(?=\w)/m).filter((part) => /^\d+ races?/.test(part));
    expect(races.length).toBeGreaterThan(0);
    for (const race of races) {
      expect(race).toMatch(/^\d+ races? with \w+, seen /);
      expect(race).toMatch(/^ {4}(children|parents|file|backing|blk_root|the node behind) /m);
      expect(race).toMatch(/^ {6}edit {2}\w+ +core\/[\w/-]+\.ts:\d+$/m);
      expect(race).toMatch(/^ {6}read {2}\w+ +core\/[\w/-]+\.ts:\d+$/m);
      expect(race).toMatch(/^ {4}why {3}\S/m);
      expect(race).toMatch(/^ {4}fix {3}\S/m);
    }
    expect(unsafe).toMatch(/children|parents/);
  });

  it("names the lock that orders pairs in the second run, and finds nothing in the third", () => {
    expect(ran.stdout).toMatch(/covered by luck: the AioContext lock of io\d/);
    expect(ran.stdout).toMatch(/Judged: with all patches\n {2}no findings/);
  });

  it("writes both reports, and three commands to try next", async () => {
    expect(readFileSync(`${out}/report.html`, "utf8")).toMatch(/^<!doctype html>/);
    expect(JSON.parse(readFileSync(`${out}/report.sarif`, "utf8")).version).toBe("2.1.0");
    const commands = ran.stdout.match(/^ {2}quiesce .*$/gm) ?? [];
    expect(commands).toHaveLength(3);
    expect(existsSync(`${out}/unsafe.trace`)).toBe(true);
    const { code } = await quiesce(["info", `${out}/unsafe.trace`]);
    expect(code).toBe(0);
  });

  it("is short: it fits on three screens, no line is wider than a page", () => {
    const lines = ran.stdout.split("\n");
    expect(lines.length).toBeLessThan(140);
    const wide = lines.filter((line) => line.replaceAll(out, "out").length > 100);
    expect(wide).toEqual([]);
  });

  it("says so in one sentence when it cannot write", async () => {
    const { code, stderr } = await quiesce(["demo", "--out", "/dev/null/out"]);
    expect(code).toBe(3);
    expect(stderr).toMatch(/^quiesce: cannot use [^\n]+\.\n$/);
  });
});
