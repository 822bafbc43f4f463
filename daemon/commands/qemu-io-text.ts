// What the commands of qemu-io read and print, in the words and forms of qemu-io-cmds.c.

/** What getopt finds: letters with their values ("" for those that take none), and what is no option. */
export interface Options {
  readonly flags: ReadonlyMap<string, string>;
  readonly rest: readonly string[];
}

/** getopt, which takes options wherever they stand; null for one that `letters` has not ("CP:q": P takes a value). */
export function getopt(words: readonly string[], letters: string): Options | null {
  const flags = new Map<string, string>();
  const rest: string[] = [];
  const queue = [...words];
  for (let word = queue.shift(); word !== undefined; word = queue.shift()) {
    if (word === "--") return { flags, rest: [...rest, ...queue] };
    if (!word.startsWith("-") || word === "-") {
      rest.push(word);
      continue;
    }
    for (let at = 1; at < word.length; at++) {
      const letter = word.charAt(at);
      const known = letter === ":" ? -1 : letters.indexOf(letter);
      if (known < 0) return null;
      if (letters.charAt(known + 1) !== ":") {
        flags.set(letter, "");
        continue;
      }
      const value = at + 1 < word.length ? word.slice(at + 1) : queue.shift();
      if (value === undefined) return null;
      flags.set(letter, value);
      break;
    }
  }
  return { flags, rest };
}

const UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] as const;
const SUFFIXES = "BKMGTPE";

/** cvtnum with print_cvtnum_err: a number of bytes ("64k"), or what is wrong with it. */
export function cvtnum(text: string): number | string {
  const match = /^\s*([0-9]+(?:\.[0-9]+)?|0[xX][0-9a-fA-F]+)([bkmgtpe]?)$/i.exec(text);
  if (match === null)
    return `Parsing error: non-numeric argument, or extraneous/unrecognized suffix -- ${text}`;
  const power = SUFFIXES.indexOf((match[2] ?? "").toUpperCase() || "B");
  const bytes = Number(match[1]) * 1024 ** power;
  if (bytes > Number.MAX_SAFE_INTEGER) return `Parsing error: argument too large -- ${text}`;
  return Math.floor(bytes);
}

/** parse_pattern: a byte, or what is wrong with it. */
export function parsePattern(text: string): number | string {
  const value = /^(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)$/.test(text)
    ? Number(/^0[0-7]+$/.test(text) ? `0o${text.slice(1)}` : text)
    : Number.NaN;
  return value >= 0 && value <= 255 ? value : `${text} is not a valid pattern byte`;
}

/** cvtstr: a number of bytes for people. */
export function cvtstr(value: number): string {
  let power = UNITS.length - 1;
  while (power > 0 && value < 1024 ** power) power--;
  const scaled = fixed(value / 1024 ** power, power === 0 ? 6 : 3);
  return `${scaled.replace(/\.000.*$/, "")} ${UNITS[power]}`;
}

/** What print_report says of a request. */
export interface Report {
  readonly what: "read" | "wrote" | "discard";
  readonly offset: number;
  readonly bytes: number;
  readonly elapsedNs: number;
  /** -C: for machines. */
  readonly isTerse: boolean;
}

/** print_report, for a request that moved all of its bytes in one operation: its lines. */
export function reportLines({ what, offset, bytes, elapsedNs, isTerse }: Report): string[] {
  const seconds = elapsedNs / 1e9;
  const perSecond = (value: number) => (value === 0 ? 0 : value / seconds);
  if (isTerse) {
    const rates = `${fixed(perSecond(bytes), 3)},${fixed(perSecond(1), 3)}`;
    return [`${bytes},1,${timestr(seconds, true)},${rates}`];
  }
  const rate = `${cvtstr(perSecond(bytes))}/sec and ${fixed(perSecond(1), 4)} ops/sec`;
  return [
    `${what} ${bytes}/${bytes} bytes at offset ${offset}`,
    `${cvtstr(bytes)}, 1 ops; ${timestr(seconds, false)} (${rate})`,
  ];
}

/** timestr. */
function timestr(seconds: number, isVerbose: boolean): string {
  if (!isVerbose && seconds < 1) return `${fixed(seconds, 2).padStart(5, "0")} sec`;
  const minutes = String(Math.floor(seconds / 60) % 60).padStart(2, "0");
  return `${Math.floor(seconds / 3600)}:${minutes}:${fixed(seconds % 60, 2).padStart(5, "0")}`;
}

/** printf's %.Nf. */
function fixed(value: number, digits: number): string {
  return Number.isFinite(value) ? value.toFixed(digits) : "inf";
}
