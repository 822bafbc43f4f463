// What a CI job does with `quiesce races`: files for its pages, a gate on what is new, and accepted findings.

import { readFileSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ONE_SENTENCE, quiesce, temporaryFolder } from "./test-support.ts";

const { path, remove } = temporaryFolder();
const trace = path("unsafe.trace");
const base = path("base.json");
const accepted = path("accepted.txt");

beforeAll(async () => {
  const run = ["record", "set-backing", "-o", trace, "--without-patch", "3,11"];
  expect((await quiesce(run)).code).toBe(0);
  expect((await quiesce(["races", trace, "--write-baseline", base])).code).toBe(1);
});
afterAll(remove);

/** Fingerprints of the trace, from the baseline. */
function fingerprints(): string[] {
  const { findings } = JSON.parse(readFileSync(base, "utf8")) as {
    findings: { fingerprint: string }[];
  };
  return findings.map(({ fingerprint }) => fingerprint);
}

it("writes every form of report, the same bytes every time", async () => {
  const names = ["html", "sarif", "junit", "markdown", "gitlab"];
  const write = async (run: string) => {
    const files = names.map((name) => path(`${run}.${name}`));
    const argv = names.flatMap((name, index) => [`--${name}`, files[index] ?? ""]);
    const { code, stdout } = await quiesce(["races", trace, ...argv, "--artifact", "the-report"]);
    expect(code).toBe(1);
    expect(stdout).toContain("5 reports written: ");
    return files.map((file) => readFileSync(file, "utf8"));
  };
  const first = await write("one");
  expect(await write("two")).toEqual(first);
  expect(first[2]).toContain("<testsuites ");
  expect(first[3]).toContain("`the-report`");
  expect(JSON.parse(first[4] ?? "")).toHaveLength(fingerprints().length);
});

it("--annotations github prints workflow commands, and the summary stays last", async () => {
  const argv = ["races", trace, "--coverage", "--annotations", "github"];
  const { stdout } = await quiesce(argv);
  expect(stdout).toMatch(/^::error file=core\/.*\.ts,line=\d+,title=/m);
  expect(stdout.trimEnd().split("\n").at(-1)).toMatch(/^.*unsafe\.trace: .* in [\d,]+ events$/);
});

it("--color says whether text is coloured, on a terminal or not", async () => {
  const coloured = async (when: string, tty: boolean) =>
    (await quiesce(["races", trace, "--color", when], { tty })).stdout.includes("\u001b[");
  expect(await coloured("always", false)).toBe(true);
  expect(await coloured("never", true)).toBe(false);
});

describe("the gate on new findings", () => {
  it("passes what the baseline has, as SARIF and JSON know it too", async () => {
    expect(fingerprints().length).toBeGreaterThan(0);
    const sarif = path("known.sarif");
    const gate = ["races", trace, "--baseline", base, "--fail-on", "new"];
    const { code, stdout } = await quiesce([...gate, "--sarif", sarif]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/no new findings \(and \d+ known\)/);
    expect((await quiesce(["races", trace, "--baseline", sarif, "--fail-on", "new"])).code).toBe(0);
    expect((await quiesce(["races", trace, "--baseline", base])).code).toBe(1);
  });

  it("fails on one that the baseline lacks, and shows that one", async () => {
    const [missing = ""] = fingerprints();
    const file = path("less.json");
    const json = JSON.parse(readFileSync(base, "utf8"));
    json.findings.shift();
    writeFileSync(file, JSON.stringify(json));
    const argv = ["races", trace, "--baseline", file, "--fail-on", "new", "--json"];
    const { code, stdout } = await quiesce(argv);
    expect(code).toBe(1);
    const { findings } = JSON.parse(stdout) as {
      findings: { fingerprint: string; baselineState: string }[];
    };
    const fresh = findings.filter(({ baselineState }) => baselineState === "new");
    expect(new Set(fresh.map(({ fingerprint }) => fingerprint))).toEqual(new Set([missing]));
  });

  it("refuses a baseline that is none, with exit code 3", async () => {
    const { code, stderr } = await quiesce(["races", trace, "--baseline", trace]);
    expect(code).toBe(3);
    expect(stderr).toMatch(ONE_SENTENCE);
  });

  it("writes the new baseline over the old one, but no report over what it reads", async () => {
    const before = readFileSync(base, "utf8");
    await quiesce(["races", trace, "--baseline", base, "--write-baseline", base]);
    expect(readFileSync(base, "utf8")).toBe(before);
    const { code } = await quiesce(["races", trace, "--baseline", base, "--junit", base]);
    expect(code).toBe(2);
    expect(readFileSync(base, "utf8")).toBe(before);
  });
});

describe("suppressions", () => {
  const suppress = (lines: string[], ...argv: string[]) => {
    writeFileSync(accepted, `${lines.join("\n")}\n`);
    return quiesce(["races", trace, "--suppress", accepted, "--today", "2026-11-29", ...argv]);
  };
  const all = () => fingerprints().map((print) => `fingerprint=${print} reason=it is planted`);

  it("let the command pass, and are counted", async () => {
    const { code, stdout, stderr } = await suppress(all());
    expect(stderr).toBe("");
    expect(code).toBe(0);
    expect(stdout).toMatch(/no new findings \(and \d+ suppressed\)/);
    expect(stdout).toContain("it is planted");
  });

  it("that ended, are unused or cannot be read are said", async () => {
    const lines = all().map((line) => `until=2026-11-28 ${line}`);
    const ended = await suppress([...lines, "fingerprint=ffffffffffffffff reason=long gone"]);
    expect(ended.code).toBe(1);
    expect(ended.stdout).toMatch(/note: .*accepted\.txt:1: This suppression ended on 2026-11-28/);
    expect(ended.stdout).toMatch(/accepted\.txt:\d+: This suppression matches no finding/);
    // What can be read holds; the command is not green all the same.
    const broken = await suppress(["until=tomorrow", ...all()]);
    expect(broken.code).toBe(3);
    expect(broken.stderr).toMatch(/^quiesce: .*accepted\.txt:1: This entry has no reason: .*\.\n$/);
    expect(broken.stdout).toContain("no new findings");
  });

  it("are no part of a new baseline", async () => {
    const file = path("rest.json");
    await suppress(all().slice(1), "--write-baseline", file);
    expect(JSON.parse(readFileSync(file, "utf8")).findings).toHaveLength(1);
  });
});
