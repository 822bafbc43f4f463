// node dist/scripts/qemu-tests.js: runs QEMU's unit tests as they are here and writes docs/qemu-tests.md.
//
// With `--check` it writes nothing, and exits with 1 when the document is not what the run gives. With `--case NAME` it runs that
// one case, under its own schedule (`--own`, the default) or the random one of `--seed N`, prints what went wrong and what the
// analyzer finds, and with `-o FILE` keeps the recording. The document is made in scripts/qemu-tests/document.ts.

import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { FAMILIES, recordCase } from "#tests/qemu";
import { DOCUMENT, qemuTests } from "./qemu-tests/document.ts";

const say = (line: string): void => void process.stdout.write(`${line}\n`);

function main(args: string[]): number {
  const { values } = parseArgs({
    args,
    options: {
      check: { type: "boolean" },
      case: { type: "string" },
      own: { type: "boolean" },
      seed: { type: "string" },
      output: { type: "string", short: "o" },
    },
  });
  if (values.case !== undefined) return oneCase(values.case, values.seed, values.output);
  // This file runs as dist/scripts/qemu-tests.js.
  const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
  const path = join(root, DOCUMENT);
  const text = qemuTests(FAMILIES);
  if (values.check !== true) {
    writeFileSync(path, text);
    say(`${DOCUMENT} written`);
    return 0;
  }
  if (existsSync(path) && readFileSync(path, "utf8") === text) return 0;
  say(`${DOCUMENT} is out of date: node dist/scripts/qemu-tests.js`);
  return 1;
}

function oneCase(name: string, seed: string | undefined, output: string | undefined): number {
  const qemuCase = FAMILIES.flatMap(({ cases }) => cases).find((one) => one.name === name);
  if (qemuCase?.body === undefined) {
    say(`There is no case ${name} that applies.`);
    return 2;
  }
  const { bytes, problem, findings } = recordCase(
    qemuCase,
    seed === undefined ? "own" : Number(seed),
  );
  if (output !== undefined) writeFileSync(output, bytes);
  say(problem === "" ? `${name} passes` : `${name}: ${problem}`);
  for (const line of findings) say(`found: ${line}`);
  return problem === "" ? 0 : 1;
}

process.exitCode = main(process.argv.slice(2));
