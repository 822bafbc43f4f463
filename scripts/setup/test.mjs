// `npm test`: the checks, then every test on this Node and again on a newer one. The last line is
// `N passed, N failed` over both runs, alone on its line, so that a machine can read it; a failed check counts as one.

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runChecks } from "./checks.mjs";
import { ensureBrowser, ensureNewerNode, ensurePeers } from "./install.mjs";
import { ROOT, say } from "./run.mjs";

/** Runs everything, or only the test files whose path contains one of `filters`; returns the exit code. */
export function test(filters) {
  const browser = ensureBrowser();
  const env = browser === null ? process.env : { ...process.env, CHROMIUM: browser };
  ensurePeers();
  const newerNode = ensureNewerNode();
  const total = { passed: 0, failed: runChecks(), skipped: 0 };
  for (const node of nodesToTest(newerNode)) {
    const counts = runTests(node, filters, env);
    for (const key of Object.keys(total)) total[key] += counts[key];
  }
  const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : "";
  process.stdout.write(`${total.passed} passed, ${total.failed} failed${skipped}\n`);
  return total.failed === 0 && total.passed > 0 ? 0 : 1;
}

function nodesToTest(newerNode) {
  if (newerNode === null) {
    say(
      `The tests run on Node ${process.versions.node} only: no Node 24 for this platform in npm.`,
    );
    return [process.execPath];
  }
  return process.versions.node.startsWith("24.")
    ? [process.execPath]
    : [process.execPath, newerNode];
}

function runTests(node, filters, env) {
  const scratch = mkdtempSync(join(tmpdir(), "quiesce-test-"));
  try {
    const report = join(scratch, "report.json");
    const version = spawnSync(node, ["--version"], { encoding: "utf8" }).stdout.trim();
    say(`tests on Node ${version.slice(1)}:`);
    const vitest = join(ROOT, "node_modules", "vitest", "vitest.mjs");
    const counter = join(ROOT, "scripts", "setup", "count-reporter.mjs");
    const reporters = ["--reporter=dot", `--reporter=${counter}`];
    const { status } = spawnSync(node, [vitest, "run", ...reporters, ...filters], {
      cwd: ROOT,
      env: { ...env, ...plainInPipe(), QUIESCE_TEST_REPORT: report },
      stdio: ["ignore", "inherit", "inherit"],
    });
    if (!existsSync(report)) say("vitest left no report.");
    return countTests(report, status === 0);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** vitest colours its output wherever CI is set; in a pipe nobody sees the colours. */
function plainInPipe() {
  return process.stdout.isTTY || process.env.FORCE_COLOR ? {} : { NO_COLOR: "1" };
}

/** Counts from vitest's JSON; a file that could not be loaded has no tests in it and counts as one failure. */
export function countTests(report, runPassed) {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  if (existsSync(report)) {
    const json = JSON.parse(readFileSync(report, "utf8"));
    const unloaded = json.testResults.filter(
      ({ status, assertionResults }) => status === "failed" && assertionResults.length === 0,
    );
    counts.passed = json.numPassedTests;
    counts.failed = json.numFailedTests + unloaded.length;
    counts.skipped = json.numPendingTests + json.numTodoTests;
  }
  if (!runPassed && counts.failed === 0) counts.failed = 1;
  return counts;
}
