// npm run bench [-- NAME...]: runs benchmarks, each a program bench/NAME.ts, one after the other.
//
// Without a name every one runs but `workload`, which is what `npm run profile` profiles. Helpers
// live in folders below bench/. Arguments after `--` (a second one) go to the benchmark.

import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { buildIfStale } from "./setup/build.mjs";
import { checkNode, ensurePackages } from "./setup/install.mjs";
import { ROOT, SetupError, say } from "./setup/run.mjs";

function names() {
  if (!existsSync(join(ROOT, "bench"))) return [];
  return readdirSync(join(ROOT, "bench"))
    .filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts"))
    .map((file) => file.slice(0, -".ts".length))
    .sort();
}

/** Splits `a b -- x y` into the names and what the benchmarks get. */
function splitArguments(args) {
  const at = args.indexOf("--");
  return at < 0 ? [args, []] : [args.slice(0, at), args.slice(at + 1)];
}

function run(name, args) {
  if (!names().includes(name)) {
    throw new SetupError(
      `There is no bench/${name}.ts; the benchmarks are: ${names().join(", ")}.`,
    );
  }
  say(`${name}:`);
  const program = join("dist", "bench", `${name}.js`);
  return spawnSync(process.execPath, [program, ...args], { cwd: ROOT, stdio: "inherit" }).status;
}

try {
  checkNode();
  ensurePackages();
  buildIfStale(() => say("Building..."));
  const [chosen, args] = splitArguments(process.argv.slice(2));
  const toRun = chosen.length > 0 ? chosen : names().filter((name) => name !== "workload");
  for (const name of toRun) if (run(name, args) !== 0) process.exitCode = 1;
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  say(error.message);
  process.exitCode = 1;
}
