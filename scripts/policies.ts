// node dist/scripts/policies.js: writes docs/policies.md: what each policy demands, and one run of the demo under all of them.
//
// With `--check` it writes nothing, and exits with 1 when the page is not what the analyzer and the demo give now. The
// page itself is made in scripts/policies/document.ts, whose test does not mind numbers that shift a little.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { POLICIES_DOCUMENT, policiesDocument } from "./policies/document.ts";

function main(args: readonly string[]): number {
  // This file runs as dist/scripts/policies.js.
  const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
  const path = join(root, POLICIES_DOCUMENT);
  const text = policiesDocument();
  if (!args.includes("--check")) {
    writeFileSync(path, text);
    process.stdout.write(`${POLICIES_DOCUMENT} written\n`);
    return 0;
  }
  if (existsSync(path) && readFileSync(path, "utf8") === text) return 0;
  process.stdout.write(`${POLICIES_DOCUMENT} is out of date: node dist/scripts/policies.js\n`);
  return 1;
}

process.exitCode = main(process.argv.slice(2));
