// What must not cost anything: outputs over an input or where nothing can be written, and mistakes in a user's scenario.

import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { ONE_SENTENCE, quiesce, temporaryFolder } from "./test-support.ts";

const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const { path, remove } = temporaryFolder();
const trace = path("good.trace");
let bytes: Buffer;

beforeAll(async () => {
  const argv = ["record", "luck-timer", "-o", trace, "--without-patch", "10"];
  await quiesce([...argv, "--without-patch", "11"]);
  bytes = readFileSync(trace);
});
afterAll(remove);

it.each([
  ['*main() { throw new Error("boom"); }', "boom"],
  ["main() {}", "is no generator"],
])("a scenario of the user's that fails is the user's: %s", async (main, words) => {
  const file = path("broken.ts");
  writeFileSync(file, `export default { name: "broken", title: "It fails.", ${main} };\n`);
  const { code, stderr } = await quiesce(["record", file, "-o", path("broken.trace")]);
  expect(code).toBe(2);
  expect(stderr).toContain(words);
  expect(stderr.trim().split("\n")).toHaveLength(1);
});

it("an option that is given twice adds up", async () => {
  const { stdout } = await quiesce(["info", trace, "--json"]);
  expect(stdout).toMatch(/10,\s*11/);
});

it.each([
  [["replay", trace, "-o", trace]],
  [["races", trace, "--html", trace]],
  [["races", trace, "--sarif", trace]],
  [["races", trace, "--html", path("same"), "--sarif", path("same")]],
])("%j is refused, and the trace stays as it was", async (argv) => {
  const { code, stderr } = await quiesce(argv);
  expect(code).toBe(2);
  expect(stderr).toMatch(ONE_SENTENCE);
  expect(readFileSync(trace).equals(bytes)).toBe(true);
});

it.each([
  [["record", "luck-timer", "-o", "-"]],
  [["replay", trace, "-o", "-"]],
  [["export", trace, "-o", "-"]],
  [["races", trace, "--sarif", "-", "--html", "-"]],
  [["races", trace, "--sarif", "-", "--json"]],
  [["races", trace, "--junit", "-", "--annotations", "github"]],
])("%j: - is one report in place of the text, and no file", async (argv) => {
  const { code, stderr } = await quiesce(argv);
  expect(code).toBe(2);
  expect(stderr).toMatch(ONE_SENTENCE);
  expect(existsSync("-")).toBe(false);
});

it.each(["--sarif", "--html", "--junit", "--markdown", "--gitlab", "--write-baseline"])(
  "%s - prints what it would write, and nothing else",
  async (option) => {
    const file = path("report");
    await quiesce(["races", trace, "--fail-on", "never", option, file]);
    const { code, stdout, stderr } = await quiesce([
      ...["races", trace, "--fail-on", "never", option, "-"],
    ]);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toBe(readFileSync(file, "utf8"));
    expect(existsSync("-")).toBe(false);
  },
);

it("a folder that is a file is said to be one", async () => {
  const { code, stderr } = await quiesce(["daemon", "--record", trace]);
  expect([code, stderr]).toEqual([
    2,
    `quiesce: --record ${trace}: this is a file, but a folder is wanted.\n`,
  ]);
});

it("a folder that cannot be made is said to be one, where Node would try for ever", async () => {
  const { code, stderr } = await quiesce(["daemon", "--record", "/proc/no/folder"]);
  expect(code).toBe(3);
  expect(stderr).toMatch(/^quiesce: .*\/proc\/no.*\n$/);
});

it("a report that cannot be written does not take the findings or the other report along", async () => {
  const sarif = path("kept.sarif");
  const { code, stdout, stderr } = await quiesce([
    ...["races", trace, "--html", path("missing/report.html")],
    ...["--sarif", sarif, "--fail-on", "none"],
  ]);
  expect(code).toBe(3);
  expect(stdout).toContain("good.trace: ");
  expect(stderr).toBe(
    `quiesce: cannot use ${path("missing/report.html")}: there is no such file or folder.\n`,
  );
  expect(stdout).toContain(`1 report written: ${sarif}\n`);
  expect(existsSync(sarif)).toBe(true);
});

it.runIf(existsSync("/dev/full"))("a full disk behind stdout is one sentence and 3", () => {
  const bin = join(ROOT, "bin", "quiesce");
  const { status, stderr } = spawnSync(
    "sh",
    ["-c", `exec "${process.execPath}" "${bin}" dump "${trace}" > /dev/full`],
    { encoding: "utf8" },
  );
  expect(status).toBe(3);
  expect(stderr.trim().split("\n").at(-1)).toMatch(/^quiesce: the output cannot be written: .*\.$/);
});
