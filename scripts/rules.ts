// node dist/scripts/rules.js: writes docs/rules/index.md, the index of the pages of the rules.
//
// With `--check` it writes nothing, and exits with 1 when the page is not what the analyzer has now. The
// page itself is made in scripts/rules/document.ts, which has a test that says the same.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { RULES_DOCUMENT, rulesDocument } from "./rules/document.ts";

function main(args: readonly string[]): number {
  // This file runs as dist/scripts/rules.js.
  const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
  const path = join(root, RULES_DOCUMENT);
  const text = rulesDocument();
  if (!args.includes("--check")) {
    writeFileSync(path, text);
    process.stdout.write(`${RULES_DOCUMENT} written\n`);
    return 0;
  }
  if (existsSync(path) && readFileSync(path, "utf8") === text) return 0;
  process.stdout.write(`${RULES_DOCUMENT} is out of date: node dist/scripts/rules.js\n`);
  return 1;
}

process.exitCode = main(process.argv.slice(2));
