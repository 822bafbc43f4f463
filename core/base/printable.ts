// Names that come from outside, as they may be printed: on a terminal, in a log, in a file that is read by lines.
//
// A trace may be anybody's. A name in it could hold line ends, sequences that colour or clear a terminal, characters that turn the
// direction of writing round, or what a CI runner takes for a command of the step: "::" or "##[" where a word begins. Such
// characters are written out here; all others stand for themselves.

/** Control characters, separators of lines and paragraphs, marks of direction, and the beginnings of workflow commands. */
const UNPRINTABLE =
  /[\p{Cc}\p{Zl}\p{Zp}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]|(?<=^|[\s\p{Cc}]):(?=:)|#(?=#\[)/gu;

const SHORT: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** `text` with what must not be printed written as `\n` or `\u{1b}`. */
export function printable(text: string): string {
  return text.replace(
    UNPRINTABLE,
    (found) => SHORT[found] ?? `\\u{${(found.codePointAt(0) ?? 0).toString(16)}}`,
  );
}
