// Call stacks from replay, in every form of report.

import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { StackFrame } from "#analyzer/reports";
import { quiesce, temporaryFolder } from "./test-support.ts";

const { path, remove } = temporaryFolder();
const trace = path("unsafe.trace");
const inputs = path("inputs.trace");
const run = ["record", "set-backing", "--without-patch", "3,11"];

interface Json {
  findings: { accesses: { site: StackFrame; path: string[]; stack: StackFrame[] | null }[] }[];
}

async function accesses(...argv: string[]) {
  const { stdout } = await quiesce(["races", "--json", ...argv]);
  return (JSON.parse(stdout) as Json).findings.flatMap((finding) => finding.accesses);
}

beforeAll(async () => {
  await quiesce([...run, "-o", trace]);
  await quiesce([...run, "-o", inputs, "--level", "inputs"]);
});
afterAll(remove);

describe("the stack of an access", () => {
  it("has every function from the access to the scenario, through all generators", async () => {
    const [edit] = await accesses(trace);
    const names = edit?.stack?.map((frame) => frame.function) ?? [];
    const order = [
      "bdrvReplaceChildNoperm",
      "bdrvSetFileOrBackingNoperm",
      "withSubtreeDrained",
      "bdrvSetBackingHd",
      "main",
    ];
    expect(names.filter((name) => order.includes(name))).toEqual(order);
    expect(edit?.path).toEqual(["drive", "top", "old"]);
  });

  it("names places in the source that say what it says", async () => {
    const [edit] = await accesses(trace);
    for (const frame of edit?.stack ?? []) {
      expect(frame.file).toMatch(/^(core|explorer)\/.*\.ts$/);
      const line = readFileSync(frame.file, "utf8").split("\n")[frame.line - 1] ?? "";
      expect(line.trim()).not.toMatch(/^(\/\/|\*|$|import )/);
    }
    const replace = edit?.stack?.find((frame) => frame.function === "bdrvReplaceChildNoperm");
    expect(replace?.file).toBe(edit?.site.file);
  });

  it("is the same from a trace that holds only inputs", async () => {
    const stacks = async (file: string) => (await accesses(file)).map(({ stack }) => stack);
    expect(await stacks(inputs)).toEqual(await stacks(trace));
  });

  it("is left out on request, and is in the text, SARIF and HTML", async () => {
    expect((await accesses(trace, "--no-stacks"))[0]?.stack).toBeNull();
    const files = [path("r.sarif"), path("r.html")] as const;
    const { stdout } = await quiesce(["races", trace, "--sarif", files[0], "--html", files[1]]);
    expect(stdout).toMatch(/^ {10}stack \w+ \(core\/.*\.ts:\d+\)$/m);
    expect(stdout).toMatch(/^ {16}and \d+ callers more$/m);
    expect((await quiesce(["races", trace, "--details"])).stdout).toContain(
      "bdrvSetBackingHd (core/",
    );
    for (const file of files) expect(readFileSync(file, "utf8")).toContain("bdrvSetBackingHd");
  });
});

describe("the command that a finding names", () => {
  it("replays to its access, and shows the event, what was running, and the graph", async () => {
    const json = JSON.parse((await quiesce(["races", trace, "--json"])).stdout) as {
      findings: { replay: string; accesses: { event: number; stack: StackFrame[] }[] }[];
    };
    const [finding] = json.findings;
    const [access] = finding?.accesses ?? [];
    expect(finding?.replay).toBe(`quiesce replay ${trace} --to ${access?.event}`);
    const argv = finding?.replay.split(" ").slice(1) ?? [];
    const { code, stdout } = await quiesce(argv);
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^ {2}ctx0 .* list_remove list=parents .* site=bdrv_replace_child_noperm\/unlink$/m,
    );
    expect(stdout).toMatch(/^ {4}bdrvSetBackingHd \(core\/graph\/backing\.ts:\d+\)$/m);
    expect(stdout).toMatch(/the graph then:\n(?: {4}.*\n)* {4}.*\btop\[/);
    const moment = JSON.parse((await quiesce([...argv, "--json"])).stdout) as {
      stack: StackFrame[];
    };
    expect(moment.stack).toEqual(access?.stack);
  });

  it("shows every event: the first ones, before anything runs, and those of iothreads", async () => {
    const { stdout } = await quiesce(["dump", trace]);
    const line = stdout.split("\n").find((text) => /^ctx[1-9]\d* /.test(text)) ?? "";
    const ctx = line.split(" ")[0];
    const event = Number(/# (\d+)$/.exec(line)?.[1]);
    for (const to of [0, 1, event]) {
      const { code, stdout: shown, stderr } = await quiesce(["replay", trace, "--to", String(to)]);
      expect([code, stderr]).toEqual([0, ""]);
      if (to === event) expect(shown).toContain(`\n  ${ctx} `);
    }
  });

  it.each([
    [
      "an event that the run does not reach",
      ["--to", "99999999"],
      "did not come to event 99999999",
    ],
    ["an event that is no number", ["--to", "last"], "numbered from 0"],
    ["a trace to write as well", ["--to", "1", "-o", path("x.trace")], "leave -o out"],
  ])("refuses %s", async (_, argv, words) => {
    const { code, stderr } = await quiesce(["replay", trace, ...argv]);
    expect(code).toBe(2);
    expect(stderr).toContain(words);
  });
});
