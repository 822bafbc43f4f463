// Numbers of bytes as people write them: "64k", "1.5G", "0x200".

/** What is wrong with a text: no number of bytes at all, or one of 64 bits or more. */
export type SizeProblem = "invalid" | "range";

/** A number of bytes, below 2^64. */
export interface ParsedSize {
  readonly bytes: bigint;
  /** A hexadecimal number with a suffix, which QEMU warns of. */
  readonly isOldForm: boolean;
}

const SUFFIXES = "BKMGTPE";
const END = 1n << 64n;

/** The whole text: an integer, then a fraction, then the letter of a unit. */
const DECIMAL = /^\s*\+?([0-9]+)(?:(\.[0-9]+)([eE][-+]?[0-9]+)?|\.)?([bkmgtpe]?)$/i;
const HEX = /^\s*\+?0x([0-9a-f]+)([kmgtp]?)$/i;

/**
 * do_strtosz (util/cutils.c:220) of 7.2. A fraction wants a unit to be a fraction of, and is rounded to the nearest byte; a point may
 * stand alone. "b" and "e" of a hexadecimal number are digits.
 */
export function parseSize(text: string): ParsedSize | SizeProblem {
  const hex = HEX.exec(text);
  if (hex !== null) {
    const suffix = hex[2] ?? "";
    return inRange(BigInt(`0x${hex[1]}`) * unitOf(suffix), suffix !== "");
  }
  const [all, whole = "", fraction = "", exponent, suffix = ""] = DECIMAL.exec(text) ?? [];
  if (all === undefined || exponent !== undefined) return "invalid";
  const unit = unitOf(suffix);
  // A fixed-point number of 64 bits, as there: its rounding shows.
  const part = fraction === "" ? 0n : BigInt(Math.floor(Number(`0${fraction}`) * 2 ** 64));
  if (unit === 1n && part !== 0n) return "invalid";
  const scaled = part * unit;
  const rounded = (scaled >> 64n) + ((scaled >> 63n) & 1n);
  return inRange(BigInt(whole) * unit + rounded, false);
}

function unitOf(suffix: string): bigint {
  const power = SUFFIXES.indexOf(suffix.toUpperCase() || "B");
  return 1024n ** BigInt(power);
}

function inRange(bytes: bigint, isOldForm: boolean): ParsedSize | SizeProblem {
  return bytes < END ? { bytes, isOldForm } : "range";
}
