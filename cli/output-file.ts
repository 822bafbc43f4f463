// Files that a verb writes: never over one of those that it reads, since nothing that was saved may be lost.

import { statSync, writeFileSync } from "node:fs";
import { QuiesceError } from "#core/base";
import { endingOf } from "./exit-codes.ts";
import type { Terminal } from "./terminal.ts";

/** Refuses `output` (what `option` names) when it is one of `inputs`, or of the other `outputs`, under whatever name. */
export function refuseOverwriting(
  option: string,
  output: string | undefined,
  others: readonly (string | undefined)[],
): void {
  if (output === undefined) return;
  for (const other of others) {
    if (other === undefined || !isSameFile(output, other)) continue;
    throw new QuiesceError(
      "usage",
      `${option} ${output} would overwrite ${other}, which this command uses: give it another name.`,
    );
  }
}

/** Writes a report; what goes wrong is said, and its exit code returned (0 when all is well). */
export function writeReport(path: string, text: string, terminal: Terminal): number {
  try {
    writeFileSync(path, text);
    return 0;
  } catch (error) {
    const ending = endingOf(error);
    terminal.stderr.write(`${path}: ${ending.text.replace(/^quiesce: /, "")}`);
    return ending.code;
  }
}

function isSameFile(a: string, b: string): boolean {
  if (a === b) return true;
  const [first, second] = [
    statSync(a, { throwIfNoEntry: false }),
    statSync(b, { throwIfNoEntry: false }),
  ];
  if (first === undefined || second === undefined) return false;
  return first.isFile() && first.dev === second.dev && first.ino === second.ino;
}
