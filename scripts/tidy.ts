// npm run tidy [-- CHECK...]: the checks that read the sources rather than run them; house-keeping
// that no ready linter does. Each is one file of scripts/tidy/, with its test beside it.
//
// Prints `file:line: what is wrong; what to do` for each problem; exit code 1 when there is one.

import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { bans } from "./tidy/bans.ts";
import { docComments } from "./tidy/doc-comments.ts";
import { domains } from "./tidy/domains.ts";
import { droppedYield } from "./tidy/dropped-yield.ts";
import { imports } from "./tidy/imports.ts";
import { type Check, type Problem, projectFromDisk } from "./tidy/project.ts";
import { ratchet } from "./tidy/ratchet.ts";
import { readmes } from "./tidy/readmes.ts";
import { unsafeTypes } from "./tidy/unsafe-types.ts";

const CHECKS: readonly Check[] = [
  imports,
  bans,
  unsafeTypes,
  droppedYield,
  ratchet,
  readmes,
  docComments,
  domains,
];

function main(names: readonly string[]): number {
  const unknown = names.find((name) => CHECKS.every((check) => check.name !== name));
  if (unknown !== undefined) {
    process.stderr.write(
      `No check "${unknown}"; there are ${CHECKS.map((c) => c.name).join(", ")}.\n`,
    );
    return 2;
  }
  // This file runs as dist/scripts/tidy.js.
  const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
  const project = projectFromDisk(root);
  const chosen = CHECKS.filter(({ name }) => names.length === 0 || names.includes(name));
  const problems = chosen.flatMap((check) => check.run(project)).sort(byPlace);
  for (const { file, line, text } of problems) process.stdout.write(`${file}:${line}: ${text}\n`);
  return problems.length === 0 ? 0 : 1;
}

function byPlace(a: Problem, b: Problem): number {
  if (a.file !== b.file) return a.file < b.file ? -1 : 1;
  return a.line - b.line;
}

process.exitCode = main(process.argv.slice(2));
