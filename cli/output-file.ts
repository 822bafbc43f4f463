// Files that a verb writes: never over one of those that it reads, since nothing that was saved may be lost.

import { mkdirSync, realpathSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { QuiesceError } from "#core/base";
import { endingOf } from "./exit-codes.ts";
import type { Terminal } from "./terminal.ts";

/** What stands for standard output in place of a file. */
export const STDOUT = "-";

/** Refuses `output` (what `option` names) when it is one of `inputs`, or of the other `outputs`, under whatever name. */
export function refuseOverwriting(
  option: string,
  output: string | undefined,
  others: readonly (string | undefined)[],
): void {
  if (output === undefined) return;
  if (output === STDOUT)
    throw new QuiesceError(
      "usage",
      `${option} ${STDOUT}: this goes into a file only: give it a name.`,
    );
  for (const other of others) {
    if (other === undefined || !isSameFile(output, other)) continue;
    throw new QuiesceError(
      "usage",
      `${option} ${output} would overwrite ${other}, which this command uses: give it another name.`,
    );
  }
}

/** Makes the folder `path`, which `option` names, unless it is there. */
export function makeFolder(option: string, path: string): void {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() === false)
    throw new QuiesceError("usage", `${option} ${path}: this is a file, but a folder is wanted.`);
  makeFolders(path);
}

/** As mkdirSync with `recursive`, which Node never returns from where a folder that is there says ENOENT, as /proc does. */
function makeFolders(path: string): void {
  if (statSync(path, { throwIfNoEntry: false }) !== undefined) return;
  if (dirname(path) !== path) makeFolders(dirname(path));
  mkdirSync(path);
}

/**
 * Writes a report; what goes wrong, in making it too, is said, and its exit code returned (0 when all is well). A file that was
 * there before is replaced when the new one is whole.
 */
export function writeReport(path: string, text: () => string, terminal: Terminal): number {
  try {
    const found = statSync(path, { throwIfNoEntry: false });
    // A device or a pipe cannot be replaced.
    if (found !== undefined && !found.isFile()) writeFileSync(path, text());
    else replaceFile(found === undefined ? path : realpathSync(path), text());
    return 0;
  } catch (error) {
    // Of the system's errors the text names the file; those of a report's own making do not.
    if (error instanceof Error && "path" in error) error.path = path;
    const { code, text: said } = endingOf(error);
    const named = said.includes(path) ? said : said.replace(/^(quiesce: )?/, `quiesce: ${path}: `);
    terminal.stderr.write(named);
    return code;
  }
}

function replaceFile(path: string, text: string): void {
  const whole = `${path}.${process.pid}.tmp`;
  try {
    writeFileSync(whole, text);
    renameSync(whole, path);
  } catch (error) {
    rmSync(whole, { force: true });
    throw error;
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
