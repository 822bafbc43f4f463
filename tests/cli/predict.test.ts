// Races that another schedule of a run has: predicted, executed, told, and executed again from the file that was written.

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ONE_SENTENCE, quiesce, temporaryFolder } from "./test-support.ts";

const { path, remove } = temporaryFolder();
const trace = path("luck.trace");
const schedules = path("schedules");
beforeAll(async () => {
  await quiesce(["record", "luck-lock", "--lock", "aio", "-o", trace]);
});
afterAll(remove);

describe("quiesce races --predict", () => {
  it("reports what only luck covers here and races when executed otherwise, and writes the schedules", async () => {
    const plain = await quiesce(["races", trace, "--no-stacks"]);
    expect(plain.code).toBe(0);
    const { code, stdout } = await quiesce([
      "races",
      trace,
      "--predict",
      "osr",
      "--schedules",
      schedules,
      "--no-stacks",
      "--json",
    ]);
    expect(code).toBe(1);
    const findings = JSON.parse(stdout).findings.filter(
      ({ rule }: { rule: string }) => rule === "predicted-race",
    );
    expect(findings.map(({ title }: { title: string }) => title)).toContain(
      "In another schedule, the read of children of node 'top' in bdrv_io_plug overlaps its edit in bdrv_child_cb_detach.",
    );
    expect(findings[0].why).toMatch(
      /^Executed with io0 held back after step \d+, until main had let a lock go, the run has this race\./,
    );
    expect(findings[0].replay).toBe(
      `quiesce replay ${trace} --schedule ${path(`schedules/${findings[0].fingerprint}.json`)}`,
    );
    const files = findings.map(({ fingerprint }: { fingerprint: string }) => `${fingerprint}.json`);
    expect(readdirSync(schedules).sort()).toEqual(files.sort());
    expect(files).toHaveLength(4);
  });

  it("writes schedules that replay executes: the race is there, also in the trace of that run", async () => {
    for (const file of readdirSync(schedules)) {
      const ran = await quiesce([
        "replay",
        trace,
        "--schedule",
        path(`schedules/${file}`),
        "--json",
      ]);
      expect(ran.code).toBe(0);
      expect(JSON.parse(ran.stdout)).toMatchObject({ isShown: true, finding: { rule: "race" } });
    }
    const [file = ""] = readdirSync(schedules);
    const raced = path("raced.trace");
    const schedule = path(`schedules/${file}`);
    const ran = await quiesce(["replay", trace, "--schedule", schedule, "-o", raced]);
    expect(ran.stdout).toContain("executed as scheduled: the race is there.");
    expect((await quiesce(["replay", raced])).stdout).toContain("identical");
    expect((await quiesce(["races", raced, "--no-stacks"])).code).toBe(1);
  });

  it("judges the executed run by schedulable happens-before as well: a race that this leaves is one", async () => {
    const raced = path("raced.trace");
    const ran = await quiesce(["races", raced, "--order", "shb", "--no-stacks"]);
    expect(ran.code).toBe(1);
    expect(ran.stdout).toContain("A read was taken to come after the edit that it saw");
  });

  it("says so when the race is not there", async () => {
    const [file = ""] = readdirSync(schedules);
    const data = JSON.parse(readFileSync(path(`schedules/${file}`), "utf8"));
    writeFileSync(
      path("late.json"),
      JSON.stringify({ ...data, schedule: { ...data.schedule, steps: 1e9 } }),
    );
    const ran = await quiesce(["replay", trace, "--schedule", path("late.json")]);
    expect(ran.code).toBe(4);
    expect(ran.stdout).toContain("it did not come as the schedule wants it");
  });

  it("refuses in one sentence what it cannot do", async () => {
    writeFileSync(path("no.json"), "{}");
    writeFileSync(path("text.json"), "hello");
    const other = path("other.trace");
    await quiesce(["record", "luck-lock", "--lock", "aio", "-o", other, "--seed", "2"]);
    const [file = ""] = readdirSync(schedules);
    const cases: [string[], number][] = [
      [["races", trace, "--schedules", schedules], 2],
      [["races", "--online", trace, "--predict", "osr"], 2],
      [["replay", trace, "--schedule", path("no.json")], 3],
      [["replay", trace, "--schedule", path("text.json")], 3],
      [["replay", trace, "--schedule", path("missing.json")], 3],
      [["replay", trace, "--schedule", path(`schedules/${file}`), "--to", "3"], 2],
      [["replay", other, "--schedule", path(`schedules/${file}`)], 3],
    ];
    for (const [argv, code] of cases) {
      const ran = await quiesce(argv);
      expect([argv.join(" "), ran.code]).toEqual([argv.join(" "), code]);
      expect(ran.stderr).toMatch(ONE_SENTENCE);
    }
  });
});

describe("the demo", () => {
  const DEMO = ["record", "demo", "--seed", "3"];
  const predicted = async (file: string, folder: string) => {
    const words = ["--no-stacks", "--predict", "osr", "--schedules", folder, "--json"];
    const { stdout, stderr, code } = await quiesce(["races", file, ...words]);
    const { findings } = JSON.parse(stdout) as { findings: { rule: string; title: string }[] };
    return { titles: findings.filter(({ rule }) => rule === "predicted-race"), stderr, code };
  };

  it("has no race in another schedule when its drains are there", async () => {
    const file = path("demo.trace");
    await quiesce([...DEMO, "-o", file]);
    expect(await predicted(file, path("none"))).toEqual({ titles: [], stderr: "", code: 0 });
  });

  it("has two without patch 10 that this run did not show, and each is there when executed", async () => {
    const file = path("open.trace");
    await quiesce([...DEMO, "--without-patch", "10,11", "-o", file]);
    const { titles, stderr } = await predicted(file, path("two"));
    expect([titles.length, stderr]).toEqual([2, ""]);
    const files = readdirSync(path("two"));
    expect(files).toHaveLength(2);
    for (const schedule of files) {
      const words = ["replay", file, "--schedule", path(`two/${schedule}`), "--json"];
      expect(JSON.parse((await quiesce(words)).stdout)).toMatchObject({ isShown: true });
    }
  });
});
