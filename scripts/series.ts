// node dist/scripts/series.js: writes docs/series.md from runs of the scenarios of the twelve patches.
//
// With `--check` it writes nothing, and exits with 1 when the page is not what the scenarios and the analyzer give now. The
// page itself is made in scripts/series/document.ts, which has a test that says the same.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { SERIES_DOCUMENT, seriesDocument } from "./series/document.ts";

function main(args: readonly string[]): number {
  // This file runs as dist/scripts/series.js.
  const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
  const path = join(root, SERIES_DOCUMENT);
  const text = seriesDocument();
  if (!args.includes("--check")) {
    writeFileSync(path, text);
    process.stdout.write(`${SERIES_DOCUMENT} written\n`);
    return 0;
  }
  if (existsSync(path) && readFileSync(path, "utf8") === text) return 0;
  process.stdout.write(`${SERIES_DOCUMENT} is out of date: node dist/scripts/series.js\n`);
  return 1;
}

process.exitCode = main(process.argv.slice(2));
