// node dist/scripts/locking.js: writes docs/locking.md from runs under the AioContext lock.
//
// With `--check` it writes nothing, and exits with 1 when the page is not what the runs give now. The
// page itself is made in scripts/locking/document.ts, which has a test that says the same.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { LOCKING_DOCUMENT, lockingDocument } from "./locking/document.ts";

function main(args: readonly string[]): number {
  // This file runs as dist/scripts/locking.js.
  const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
  const path = join(root, LOCKING_DOCUMENT);
  const text = lockingDocument();
  if (!args.includes("--check")) {
    writeFileSync(path, text);
    process.stdout.write(`${LOCKING_DOCUMENT} written\n`);
    return 0;
  }
  if (existsSync(path) && readFileSync(path, "utf8") === text) return 0;
  process.stdout.write(`${LOCKING_DOCUMENT} is out of date: node dist/scripts/locking.js\n`);
  return 1;
}

process.exitCode = main(process.argv.slice(2));
