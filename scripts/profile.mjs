// npm run profile -- flame|doctor|bubbleprof|heapprofiler [ARGUMENT...]: runs clinic on the
// benchmark workload, bench/workload.ts; arguments go to the workload.
//
// Clinic asks for permission to send statistics and, without a terminal, ends at once having written
// nothing, with exit code 0; so it does too when the program is missing. Hence the two variables
// below, and the look for an .html afterwards.

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { buildIfStale } from "./setup/build.mjs";
import { checkNode, ensureClinic, ensurePackages } from "./setup/install.mjs";
import { ROOT, SetupError, say } from "./setup/run.mjs";

const TOOLS = ["flame", "doctor", "bubbleprof", "heapprofiler"];
const PROGRAM = join("dist", "bench", "workload.js");

function profile(tool, args) {
  if (!TOOLS.includes(tool)) {
    throw new SetupError(`npm run profile -- TOOL, where TOOL is one of ${TOOLS.join(", ")}.`);
  }
  checkNode();
  ensurePackages();
  buildIfStale(() => say("Building..."));
  if (!existsSync(join(ROOT, PROGRAM))) throw new SetupError("There is no bench/workload.ts.");
  const clinic = ensureClinic();
  const folder = join("out", "profile", tool);
  rmSync(join(ROOT, folder), { recursive: true, force: true });
  mkdirSync(join(ROOT, folder), { recursive: true });
  // What follows `--` has to be the word node itself; so this Node comes first on the path.
  const path = `${join(process.execPath, "..")}:${process.env.PATH}`;
  const env = { ...process.env, PATH: path, NO_INSIGHT: "1", NO_UPDATE_NOTIFIER: "1" };
  const options = ["--open=false", "--dest", folder];
  spawnSync(clinic, [tool, ...options, "--", "node", PROGRAM, ...args], {
    cwd: ROOT,
    env,
    stdio: "inherit",
  });
  const page = readdirSync(join(ROOT, folder)).find((file) => file.endsWith(".html"));
  if (page === undefined) throw new SetupError(`clinic ${tool} wrote no page.`);
  say(`The page is ${join(folder, page)}.`);
}

try {
  const [tool, ...args] = process.argv.slice(2);
  profile(tool ?? "", args);
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  say(error.message);
  process.exitCode = 1;
}
