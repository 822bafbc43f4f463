// What the process says when it ends (design D12), and how an error becomes one sentence and a code.
//
// 3 wins over 1: a trace that is damaged is never green, and what could be read of it is analysed and printed all the same.
// Sentences go to stderr and carry no stack; a stack is for our own bugs (code 70), where somebody must find the line.

import { CommanderError } from "commander";
import { AssertionError, printable, QuiesceError } from "#core/base";
import { RunFailure } from "./run-failure.ts";

export const ExitCode = {
  ok: 0,
  findings: 1,
  usage: 2,
  input: 3,
  diverged: 4,
  limit: 5,
  internal: 70,
  /** 128+n: ended by signal n. */
  signal: 128,
} as const;

/** What the top of the program prints and returns for an error. `text` is "" when there is nothing to add. */
export interface Ending {
  readonly code: number;
  readonly text: string;
}

/** The ending for anything that was thrown. */
export function endingOf(error: unknown): Ending {
  if (error instanceof CommanderError) {
    // Commander has printed the help or the complaint already.
    return { code: error.exitCode === 0 ? ExitCode.ok : ExitCode.usage, text: "" };
  }
  if (error instanceof QuiesceError)
    return { code: ExitCode[error.kind], text: sentence(error.message) + below(error.hint) };
  if (error instanceof RunFailure) return { code: ExitCode.internal, text: error.report() };
  const file = fileSentence(error);
  if (file !== null) return { code: ExitCode.input, text: sentence(file) };
  return { code: ExitCode.internal, text: bugReport(error) };
}

function sentence(message: string): string {
  return `quiesce: ${printable(message)}\n`;
}

function below(hint: string): string {
  return hint === "" ? "" : `${hint}\n`;
}

function bugReport(error: unknown): string {
  const what =
    error instanceof AssertionError
      ? "an assertion of quiesce itself failed"
      : "quiesce itself failed";
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return `quiesce: ${what}; this is a bug in quiesce, please report it.\n${stack}\n`;
}

const FILE_TROUBLE: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file or folder",
  EACCES: "permission denied",
  EPERM: "the operation is not permitted",
  EISDIR: "it is a folder, not a file",
  ENOTDIR: "a part of its path is not a folder",
  ENOSPC: "the disk is full",
  EDQUOT: "the disk quota is used up",
  EFBIG: "the file grew beyond the size that is allowed here",
  EROFS: "the file system is read-only",
  EMFILE: "too many files are open",
  EIO: "the disk reported an error",
  EEXIST: "it exists already",
  EBUSY: "it is in use",
  ETXTBSY: "it is in use",
  ELOOP: "its symbolic links form a loop",
  ENAMETOOLONG: "its name is too long",
  ENXIO: "there is no device behind it",
};

/** One sentence for an error of the operating system on a file, or null for any other error. */
export function fileSentence(error: unknown): string | null {
  if (!(error instanceof Error) || !("code" in error) || typeof error.code !== "string")
    return null;
  const trouble = FILE_TROUBLE[error.code];
  if (trouble === undefined) return null;
  const path = "path" in error && typeof error.path === "string" ? error.path : null;
  return path === null ? `${trouble}.` : `cannot use ${path}: ${trouble}.`;
}
