// Building: the site table, then tsc into dist/. The build is stale when the list of sources, with their sizes and
// times, is not the one that was built last.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { writeSites } from "../sites.mjs";
import { ROOT, SetupError, withLock } from "./run.mjs";

const FOLDERS = [
  ..."core traces tracer replay analyzer explorer daemon cli".split(" "),
  ..."scripts tests bench".split(" "),
];
const DIST = join(ROOT, "dist");
const STAMP = join(DIST, ".built-from");

export function buildIsStale() {
  return !existsSync(STAMP) || readFileSync(STAMP, "utf8") !== fingerprint();
}

/** Builds when something has changed since the last good build. */
export function buildIfStale(announce = () => {}) {
  if (!buildIsStale()) return;
  withLock("build", () => {
    if (!buildIsStale()) return;
    announce();
    build();
  });
}

/** Builds in any case; tests, too, are type-checked by this. */
export function buildNow() {
  withLock("build", build);
}

function build() {
  try {
    writeSites();
  } catch (error) {
    throw new SetupError(error.message);
  }
  // Taken before the compiler reads the files: what changes meanwhile is built the next time.
  const builtFrom = fingerprint();
  rmSync(STAMP, { force: true });
  const compiler = join(ROOT, "node_modules", "typescript", "bin", "tsc");
  const colours = process.stderr.isTTY && !process.env.NO_COLOR ? ["--pretty"] : [];
  const result = spawnSync(process.execPath, [compiler, "-p", ROOT, ...colours], {
    cwd: ROOT,
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  removeOrphans("");
  if (result.status !== 0) {
    process.stderr.write(`${result.stdout}${result.stderr}`);
    throw new SetupError("The build failed: the compiler's messages above say where.");
  }
  mkdirSync(DIST, { recursive: true });
  writeFileSync(STAMP, builtFrom);
}

function fingerprint() {
  const hash = createHash("sha256");
  const files = FOLDERS.flatMap(sourcesBelow);
  for (const file of [...files, "tsconfig.json", "package.json", "scripts/sites.mjs"]) {
    const { size, mtimeMs } = statSync(join(ROOT, file));
    hash.update(`${file} ${size} ${mtimeMs}\n`);
  }
  return hash.digest("hex");
}

function sourcesBelow(folder) {
  if (!existsSync(join(ROOT, folder))) return [];
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return entry.name === "node_modules" ? [] : sourcesBelow(path);
    const isSource = /\.ts$/.test(path) && !/\.(test|generated)\.ts$/.test(path);
    return isSource || /\.proto$/.test(path) ? [path] : [];
  });
}

/** Removes from dist/ what was built from a source that is gone. */
function removeOrphans(folder) {
  const inDist = join(DIST, folder);
  if (!existsSync(inDist)) return;
  for (const entry of readdirSync(inDist, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) removeOrphans(path);
    const source = path.replace(/\.(js|js\.map|d\.ts)$/, ".ts");
    const isOrphan = source !== path && !existsSync(join(ROOT, source));
    const isCopied = isOrphan && existsSync(join(ROOT, path));
    if (entry.isFile() && isOrphan && !isCopied) rmSync(join(DIST, path));
  }
}
