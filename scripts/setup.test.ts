import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
// @ts-expect-error plain JavaScript, because it runs before anything is installed
import { countTests } from "./setup/test.mjs";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "quiesce-setup-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

function count(report: unknown, runPassed: boolean): unknown {
  const path = join(folder, "report.json");
  writeFileSync(path, JSON.stringify(report));
  return countTests(path, runPassed);
}

const REPORT = {
  numPassedTests: 7,
  numFailedTests: 1,
  numPendingTests: 2,
  numTodoTests: 1,
  testResults: [{ status: "failed", assertionResults: [{}] }],
};

test("the closing line counts tests, and a file that could not be loaded as a failure", () => {
  expect(count(REPORT, false)).toEqual({ passed: 7, failed: 1, skipped: 3 });
  const unloaded = { status: "failed", assertionResults: [] };
  const report = { ...REPORT, testResults: [unloaded] };
  expect(count(report, false)).toEqual({ passed: 7, failed: 2, skipped: 3 });
});

test("a run that failed without a failed test, or left no report, counts as one failure", () => {
  const report = { ...REPORT, numFailedTests: 0, testResults: [] };
  expect(count(report, false)).toEqual({ passed: 7, failed: 1, skipped: 3 });
  expect(countTests(join(folder, "none.json"), false)).toEqual({
    passed: 0,
    failed: 1,
    skipped: 0,
  });
});

test("no committed lockfile names a place that packages come from", () => {
  for (const lockfile of [
    "package-lock.json",
    "tools/node24/package-lock.json",
    "tools/clinic/package-lock.json",
  ]) {
    expect(readFileSync(join(ROOT, lockfile), "utf8")).not.toContain('"resolved"');
  }
});

// A registry that lacks the binaries of some platforms makes npm leave them out of the lockfile; then
// `npm ci` fails, on those platforms and here.
test("the lockfile has an entry for every package that a platform may need", () => {
  const lockfile = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8")) as {
    packages: Record<string, { optionalDependencies?: Record<string, string> }>;
  };
  const optional = Object.values(lockfile.packages).flatMap((one) =>
    Object.keys(one.optionalDependencies ?? {}),
  );
  expect(optional.length).toBeGreaterThan(50);
  expect(optional.filter((name) => !(`node_modules/${name}` in lockfile.packages))).toEqual([]);
});

test("a verb that does not exist is one sentence and exit code 1", () => {
  const run = (): string =>
    execFileSync(process.execPath, ["scripts/setup.mjs", "strat"], {
      cwd: ROOT,
      stdio: "pipe",
      encoding: "utf8",
    });
  expect(run).toThrow("setup.mjs knows start, test, check, build, tidy.");
});
