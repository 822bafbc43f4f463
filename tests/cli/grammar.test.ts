// The grammar is stable: verbs, options and exit codes are only ever added. What this file says must stay true.

import { describe, expect, it } from "vitest";
import { quiesce } from "./test-support.ts";

const VERBS = {
  demo: ["--out", "--seed"],
  scenarios: ["--json"],
  record: ["-o, --output", "--seed", "--host", "--level", "--without-patch", "--lock"],
  replay: ["-o, --output", "--to", "--json"],
  races: [
    ..."--online --idle --coverage --color --details --stacks --no-stacks --json --sarif --html --junit --markdown --artifact".split(
      " ",
    ),
    ..."--gitlab --annotations --fail-on --baseline --write-baseline --suppress --today".split(" "),
  ],
  dump: ["--json"],
  info: ["--json"],
} as const;

describe.each(Object.entries(VERBS))("quiesce %s --help", (verb, options) => {
  it("begins with an example, names every option, and exits with 0", async () => {
    const { code, stdout, stderr } = await quiesce([verb, "--help"]);
    expect(code).toBe(0);
    expect(stderr).toBe("");
    expect(stdout).toMatch(new RegExp(`^Examples?:\n {2}\\$ quiesce ${verb}`));
    for (const option of options) expect(stdout).toContain(`  ${option} `);
  });

  it("is not wider than a narrow terminal", async () => {
    const { stdout } = await quiesce([verb, "--help"]);
    const prose = stdout.split("\n").filter((line) => !line.startsWith("  $ "));
    expect(prose.filter((line) => line.length > 100)).toEqual([]);
  });
});

describe("quiesce", () => {
  it("--help names every verb and the exit codes", async () => {
    const { code, stdout } = await quiesce(["--help"]);
    expect(code).toBe(0);
    for (const verb of Object.keys(VERBS)) expect(stdout).toMatch(new RegExp(`^ {2}${verb} `, "m"));
    expect(stdout).toContain("3 a file failed or is incomplete");
  });

  it("--version prints the version on stdout", async () => {
    const { code, stdout } = await quiesce(["--version"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  it.each([
    ["nothing", [], "Usage: quiesce"],
    ["a misspelt verb", ["recrod"], "Did you mean record?"],
    ["a misspelt option", ["races", "--sarfi", "x"], "Did you mean --sarif?"],
    ["a misspelt scenario", ["record", "dmeo", "-o", "x"], "Did you mean demo?"],
    [
      "a scenario that sounds like none",
      ["record", "mirror-mirror", "-o", "x"],
      "`quiesce scenarios` lists them",
    ],
    ["no output file", ["record", "demo"], "'-o, --output <file>' not specified"],
    ["no trace", ["races"], "missing required argument 'file'"],
    [
      "a gate on new findings without a baseline",
      ["races", "x", "--fail-on", "new"],
      "needs --baseline",
    ],
    ["a day that is none", ["races", "x", "--today", "29.11."], "write it as YYYY-MM-DD"],
    [
      "two things on stdout",
      ["races", "x", "--json", "--annotations", "github"],
      "use one of them",
    ],
    ["too many traces", ["replay", "a", "b"], "too many arguments"],
    [
      "an unknown host",
      ["record", "demo", "-o", "x", "--host", "real"],
      "Allowed choices are simulated, live",
    ],
    [
      "an unknown level",
      ["record", "demo", "-o", "x", "--level", "some"],
      "Allowed choices are full, inputs",
    ],
    [
      "an unknown lock",
      ["record", "demo", "-o", "x", "--lock", "big"],
      "Allowed choices are none, aio",
    ],
    [
      "a seed that is no number",
      ["record", "demo", "-o", "x", "--seed", "1.5"],
      "A seed is a whole number",
    ],
    [
      "a patch that does not exist",
      ["record", "demo", "-o", "x", "--without-patch", "10,13"],
      "Patches are numbered 1 to 12",
    ],
    [
      "an unknown --fail-on",
      ["races", "x", "--fail-on", "sometimes"],
      "Allowed choices are race, warning, note, new, none, never",
    ],
    [
      "a scenario file that is not there",
      ["record", "./none.ts", "-o", "x"],
      "There is no file ./none.ts",
    ],
  ])("refuses %s with exit code 2, on stderr", async (_, argv, words) => {
    const { code, stdout, stderr } = await quiesce(argv);
    expect(code).toBe(2);
    expect(stdout).toBe("");
    expect(stderr).toContain(words);
    expect(stderr).not.toMatch(/^\s+at /m);
  });
});
