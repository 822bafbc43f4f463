// The words of a command of qemu-io: options and numbers, and what is said of wrong ones.

import type { QemuIoSession } from "./qemu-io-session.ts";
import { cvtnum, getopt, type Options, parsePattern, sizeWarning } from "./qemu-io-text.ts";

/** The options among `words`; null after saying which of them there is not. */
export function optionsOf(
  session: QemuIoSession,
  words: readonly string[],
  letters: string,
): Options | null {
  const options = getopt(session.name, words, letters);
  if (typeof options !== "string") return options;
  session.print(options);
  return null;
}

/** A number of a command line; null after saying what is wrong with it. */
export function numberOf(session: QemuIoSession, text: string): number | null {
  const warning = sizeWarning(text);
  if (warning !== null) session.report(warning);
  const value = cvtnum(text);
  if (typeof value === "number") return value;
  session.print(value);
  return null;
}

/** The byte of -P; null after saying that it is none. */
export function patternOf(
  session: QemuIoSession,
  flags: Options["flags"],
  byDefault: number,
): number | null {
  const text = flags.get("P");
  const pattern = text === undefined ? byDefault : parsePattern(text);
  if (typeof pattern === "number") return pattern;
  session.print(pattern);
  return null;
}
