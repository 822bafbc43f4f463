// What the commands of qemu-io read and print, in the words and forms of qemu-io-cmds.c.

import { parseSize } from "../size-text.ts";

/** What getopt finds: letters with their values ("" for those that take none), and what is no option. */
export interface Options {
  readonly flags: ReadonlyMap<string, string>;
  readonly rest: readonly string[];
}

/**
 * getopt, which takes options wherever they stand ("CP:q": P takes a value); what it says itself of one that `letters` has not, or
 * that has no value, of the command `name`.
 */
export function getopt(name: string, words: readonly string[], letters: string): Options | string {
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
      if (known < 0) return `${name}: invalid option -- '${letter}'`;
      if (letters.charAt(known + 1) !== ":") {
        flags.set(letter, "");
        continue;
      }
      const value = at + 1 < word.length ? word.slice(at + 1) : queue.shift();
      if (value === undefined) return `${name}: option requires an argument -- '${letter}'`;
      flags.set(letter, value);
      break;
    }
  }
  return { flags, rest };
}

const UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] as const;

/** cvtnum with print_cvtnum_err: a number of bytes ("64k"), or what is wrong with it. */
export function cvtnum(text: string): number | string {
  const parsed = parseSize(text);
  if (parsed === "invalid")
    return `Parsing error: non-numeric argument, or extraneous/unrecognized suffix -- ${text}`;
  if (parsed === "range" || parsed.bytes >= 1n << 63n)
    return `Parsing error: argument too large -- ${text}`;
  return Math.min(Number(parsed.bytes), BEYOND_ALL);
}

/** Longer than any disk; with the length of a request it is a number yet. */
const BEYOND_ALL = 2 ** 52;

/** What QEMU warns of in a number that it takes, or null. */
export function sizeWarning(text: string): string | null {
  const parsed = parseSize(text);
  if (typeof parsed === "string" || !parsed.isOldForm) return null;
  return `warning: Using a multiplier suffix on hex numbers is deprecated: ${text}`;
}

/** parse_pattern: a byte, or what is wrong with it. */
export function parsePattern(text: string): number | string {
  const digits = text.replace(/^\+/, "");
  const value = /^(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)$/.test(digits)
    ? Number(/^0[0-7]+$/.test(digits) ? `0o${digits.slice(1)}` : digits)
    : Number.NaN;
  return value >= 0 && value <= 255 ? value : `${text} is not a valid pattern byte`;
}

/** dump_buffer: bytes in rows of sixteen, in hexadecimal and as letters. */
export function dumpLines(bytes: Uint8Array, offset: number): string[] {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const row = [...bytes.subarray(at, at + 16)];
    const hex = row.map((byte) => `${byte.toString(16).padStart(2, "0")} `).join("");
    const letters = row.map((byte) => String.fromCharCode(byte).replace(/[^0-9A-Za-z]/, "."));
    lines.push(`${(offset + at).toString(16).padStart(8, "0")}:  ${hex} ${letters.join("")}`);
  }
  return lines;
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
