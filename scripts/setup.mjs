// What `npm start`, `npm test` and the other package scripts run. Plain JavaScript without
// dependencies: in a fresh clone nothing is installed yet, and no command needs a step before it.
//
//   start    install, build when stale, run the demo
//   test     install, checks, every test on two versions of Node
//   check    the checks alone: format and lint, types, tidy
//   build    install, build
//   tidy     install, build when stale, tidy

import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { buildIfStale, buildNow } from "./setup/build.mjs";
import { runChecks } from "./setup/checks.mjs";
import { checkNode, ensurePackages } from "./setup/install.mjs";
import { ROOT, SetupError, say } from "./setup/run.mjs";
import { test } from "./setup/test.mjs";

const VERBS = {
  start(args) {
    buildIfStale(() => say("Building..."));
    return runNode([join("bin", "quiesce"), "demo", ...args]);
  },
  test,
  check: () => (runChecks() === 0 ? 0 : 1),
  build() {
    buildNow();
    return 0;
  },
  tidy(args) {
    try {
      buildIfStale();
    } catch (error) {
      // Tidy reads the sources as they are; the compiler emits it even when types elsewhere are wrong.
      say(error.message);
    }
    return runNode([join("dist", "scripts", "tidy.js"), ...args]);
  },
};

function runNode(args) {
  return spawnSync(process.execPath, args, { cwd: ROOT, stdio: "inherit" }).status ?? 70;
}

try {
  const [name, ...args] = process.argv.slice(2);
  const verb = Object.hasOwn(VERBS, name ?? "") ? VERBS[name] : null;
  if (verb === null) throw new SetupError(`setup.mjs knows ${Object.keys(VERBS).join(", ")}.`);
  checkNode();
  ensurePackages();
  process.exitCode = verb(args);
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  say(error.message);
  process.exitCode = 1;
}
