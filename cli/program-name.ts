// What the user types to run this program again: hints and examples say that, so that they can be copied as they stand.
//
// `quiesce` where the PATH finds this very program by that name, else the file that was started, as seen from here: `bin/quiesce`
// in a checkout. Reports that are written into files are read elsewhere, and say `quiesce`.

import { realpathSync } from "node:fs";
import { basename, delimiter, join, relative, sep } from "node:path";
import { shellWord } from "./trace-file.ts";

const NAME = "quiesce";

/** How a process was started. */
export interface Started {
  /** The file that was started, absolute. */
  readonly file: string | undefined;
  readonly folder: string;
  /** The PATH. */
  readonly path: string;
}

/** What to type in front of a verb. */
export function programName(
  { file, folder, path }: Started = {
    file: process.argv[1],
    folder: process.cwd(),
    path: process.env.PATH ?? "",
  },
): string {
  // Whoever runs the command line from a program of theirs has given it no name.
  if (file === undefined || basename(file) !== NAME) return NAME;
  const found = path
    .split(delimiter)
    .map((one) => realPath(join(one, NAME)))
    .find((real) => real !== null);
  if (found !== undefined && found === realPath(file)) return NAME;
  const near = relative(folder, file);
  if (near.startsWith("..")) return shellWord(file);
  return shellWord(near.includes(sep) ? near : `.${sep}${near}`);
}

/** `quiesce replay run.trace` as the user types it here. */
export function asTyped(command: string): string {
  return command.replace(/^quiesce\b/, () => programName());
}

function realPath(file: string): string | null {
  try {
    return realpathSync(file);
  } catch {
    return null;
  }
}
