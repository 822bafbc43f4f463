// Loads a scenario from a file of the user's, TypeScript or JavaScript.
//
// It is bundled with esbuild into a temporary module. What it imports from quiesce (`#core/graph`, or `quiesce/core/graph`) is not
// bundled but points at the modules of the running program: there must be one machine, one site table and one of each
// class. Everything else that it imports becomes part of the bundle, and of the digest that tells one state of the file
// from another.

import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { type BuildFailure, type BuildResult, build, type Plugin } from "esbuild";
import { QuiesceError } from "#core/base";
import type { Scenario } from "#explorer";

/** A scenario that was loaded from a file. */
export interface LoadedScenario {
  readonly scenario: Scenario;
  /** Of the bundle: changes when the file, or what it imports of the user's own, changes. */
  readonly digest: string;
}

/** Load the default export of `path`. */
export async function loadScenarioFile(path: string): Promise<LoadedScenario> {
  if (!existsSync(path))
    throw new QuiesceError("usage", `There is no file ${path} to take a scenario from.`);
  const code = await bundled(path);
  const folder = mkdtempSync(join(tmpdir(), "quiesce-scenario-"));
  try {
    const module = join(folder, "scenario.mjs");
    writeFileSync(module, code);
    const exports = await imported(path, module);
    return { scenario: scenarioOf(path, exports), digest: digestOf(code) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function bundled(path: string): Promise<string> {
  let result: BuildResult<{ write: false }>;
  try {
    result = await build({
      entryPoints: [resolve(path)],
      bundle: true,
      write: false,
      platform: "node",
      format: "esm",
      target: "node20",
      logLevel: "silent",
      plugins: [ownModules],
    });
  } catch (error) {
    throw new QuiesceError(
      "usage",
      `${path} is not a scenario that can be loaded: ${firstError(error)}`,
    );
  }
  return result.outputFiles[0]?.text ?? "";
}

function firstError(error: unknown): string {
  const [first] = (error as Partial<BuildFailure>).errors ?? [];
  if (first === undefined) return error instanceof Error ? error.message : String(error);
  const place = first.location === null ? "" : `line ${first.location.line}: `;
  return `${place}${first.text}.`;
}

/** The folder that holds the running program's modules, and what their names end with. */
const PROGRAM = fileURLToPath(new URL("..", import.meta.url));
const ENDING = import.meta.url.endsWith(".ts") ? "index.ts" : "index.js";

const ownModules: Plugin = {
  name: "quiesce",
  setup(build) {
    build.onResolve({ filter: /^(?:#|quiesce\/)/ }, ({ path }) => {
      const module = join(PROGRAM, path.replace(/^(?:#|quiesce\/)/, ""), ENDING);
      if (!existsSync(module)) return { errors: [{ text: `quiesce has no module "${path}"` }] };
      return { path: pathToFileURL(module).href, external: true };
    });
  },
};

async function imported(path: string, module: string): Promise<Readonly<Record<string, unknown>>> {
  try {
    return (await import(pathToFileURL(module).href)) as Readonly<Record<string, unknown>>;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new QuiesceError(
      "usage",
      `${path} failed while it was loaded: ${message.split("\n")[0]}`,
    );
  }
}

function scenarioOf(path: string, exports: Readonly<Record<string, unknown>>): Scenario {
  const candidate = exports.default;
  if (isScenario(candidate)) return candidate;
  const what =
    candidate === undefined ? "has no default export" : "exports something else by default";
  throw new QuiesceError(
    "usage",
    `${path} is not a scenario: it ${what}; a scenario is \`export default { name, title, *main(world) { … } }\`.`,
  );
}

function isScenario(candidate: unknown): candidate is Scenario {
  if (typeof candidate !== "object" || candidate === null) return false;
  const { name, title, main } = candidate as Partial<Record<keyof Scenario, unknown>>;
  return typeof name === "string" && typeof title === "string" && typeof main === "function";
}

function digestOf(code: string): string {
  return createHash("sha256").update(code).digest("hex").slice(0, 32);
}
