// node dist/scripts/known-findings.js: writes docs/known-findings.md from runs of the hole-* scenarios.
//
// With `--check` it writes nothing, and exits with 1 when the document is not what the scenarios and the analyzer give now.
// The document itself is made in scripts/known-findings/document.ts, which has a test that says the same.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { DOCUMENT, knownFindings } from "./known-findings/document.ts";

function main(args: readonly string[]): number {
  // This file runs as dist/scripts/known-findings.js.
  const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
  const path = join(root, DOCUMENT);
  const text = knownFindings(root);
  if (!args.includes("--check")) {
    writeFileSync(path, text);
    process.stdout.write(`${DOCUMENT} written\n`);
    return 0;
  }
  if (existsSync(path) && readFileSync(path, "utf8") === text) return 0;
  process.stdout.write(`${DOCUMENT} is out of date: node dist/scripts/known-findings.js\n`);
  return 1;
}

process.exitCode = main(process.argv.slice(2));
