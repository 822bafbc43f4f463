// The checks that need no test run: format and lint, types, and tidy. Each says in one line how it went.

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { buildNow } from "./build.mjs";
import { ROOT, SetupError, say } from "./run.mjs";

const CHECKS = [
  [
    "format and lint",
    () => passes(join("node_modules", ".bin", "biome"), ["check", "--colors=off"]),
  ],
  ["types and build", buildPasses],
  ["tidy", () => passes(process.execPath, [join("dist", "scripts", "tidy.js")])],
];

/** Runs every check, also after one has failed; returns how many failed. */
export function runChecks() {
  let failed = 0;
  for (const [name, check] of CHECKS) {
    const started = process.hrtime.bigint();
    const passed = check();
    const seconds = Number(process.hrtime.bigint() - started) / 1e9;
    say(`${name}: ${passed ? "ok" : "FAILED"} (${seconds.toFixed(1)} s)`);
    if (!passed) failed++;
  }
  return failed;
}

function passes(command, args) {
  const result = spawnSync(command, args, { cwd: ROOT, encoding: "utf8", maxBuffer: 1 << 28 });
  if (result.status !== 0) process.stderr.write(`${result.stdout ?? ""}${result.stderr ?? ""}`);
  return result.status === 0;
}

function buildPasses() {
  try {
    buildNow();
    return true;
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    say(error.message);
    return false;
  }
}
