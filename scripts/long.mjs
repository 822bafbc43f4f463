// npm run long -- NAME: runs the long form of a claim, hours of what `npm test` shows in seconds.
//
// Every file tests/long/NAME.ts is one; helpers live in folders below. A file exports
//
//     export const title = "one sentence: what is shown, and roughly how long it takes";
//     export async function run(say: (line: string) => void, args: readonly string[])
//       : Promise<{ passed: boolean; ... }>
//
// What `run` returns is stored as tests/long/NAME.result.json, with the Node version and the time it
// took, and is committed: it is the evidence that the claim held. Without a name: the list.

import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { buildIfStale } from "./setup/build.mjs";
import { checkNode, ensurePackages } from "./setup/install.mjs";
import { ROOT, SetupError, say } from "./setup/run.mjs";

const FOLDER = join("tests", "long");

function names() {
  if (!existsSync(join(ROOT, FOLDER))) return [];
  return readdirSync(join(ROOT, FOLDER))
    .filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts"))
    .map((file) => file.slice(0, -".ts".length))
    .sort();
}

async function load(name) {
  const form = await import(pathToFileURL(join(ROOT, "dist", FOLDER, `${name}.js`)).href);
  if (typeof form.title !== "string" || typeof form.run !== "function") {
    throw new SetupError(`${FOLDER}/${name}.ts must export a title and a function run.`);
  }
  return form;
}

async function list() {
  say("npm run long -- NAME, where NAME is one of");
  for (const name of names()) say(`  ${name.padEnd(24)} ${(await load(name)).title}`);
}

async function run(name, args) {
  if (!names().includes(name)) {
    throw new SetupError(
      `There is no ${FOLDER}/${name}.ts; the long forms are: ${names().join(", ")}.`,
    );
  }
  const form = await load(name);
  say(form.title);
  const started = process.hrtime.bigint();
  const result = await form.run(say, args);
  const seconds = Math.round(Number(process.hrtime.bigint() - started) / 1e9);
  const machine = { node: process.versions.node, cores: availableParallelism() };
  const stored = { name, arguments: args, passed: result.passed, seconds, ...machine, ...result };
  const output = join(FOLDER, `${name}.result.json`);
  writeFileSync(join(ROOT, output), `${JSON.stringify(stored, null, 2)}\n`);
  say(`${result.passed ? "Passed" : "FAILED"} after ${seconds} s; the result is in ${output}.`);
  return result.passed ? 0 : 1;
}

try {
  checkNode();
  ensurePackages();
  buildIfStale(() => say("Building..."));
  const [name, ...args] = process.argv.slice(2);
  process.exitCode = name === undefined ? ((await list()) ?? 0) : await run(name, args);
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  say(error.message);
  process.exitCode = 1;
}
