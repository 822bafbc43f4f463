// RAPID's text form of a trace (STD): one event a line, `T0|w(V1.x)|12`: thread, operation with its operand, location.
//
// Bytes are read in large pieces and parsed as bytes, up to the last whole line of each piece; what is left of it moves to the
// front of the next. A line ends at its newline whatever is in it, so the inner loops test for nothing else. As strict as RAPID's
// own parser: names have no blanks, locations are 32-bit integers, `begin` and `end` take no operand (one in brackets is
// ignored). Stricter in that an unknown operation or an empty line is an error.

import { QuiesceError } from "#core/base";
import type { ByteSource } from "../byte-source.ts";
import {
  type AbstractBlock,
  type AbstractNames,
  type AbstractSource,
  NO_OPERAND,
  newBlock,
  StdOp,
} from "./abstract-trace.ts";
import { ByteNames, HASH_FACTOR, HASH_START } from "./byte-names.ts";
import { blockEventsMax, lineBytesMax, readBytesMax } from "./limits.ts";

const NEWLINE = 0x0a;
const RETURN = 0x0d;
const BLANK = 0x20;
const OPEN = 0x28;
const CLOSE = 0x29;
const PLUS = 0x2b;
const MINUS = 0x2d;
const DIGIT_0 = 0x30;
const PIPE = 0x7c;
const [A, B, E, F, J, R, W] = [0x61, 0x62, 0x65, 0x66, 0x6a, 0x72, 0x77];
/** Bytes of a faulty line that a complaint quotes. */
const QUOTED_MAX = 80;

export class StdReader implements AbstractSource {
  readonly names: AbstractNames;
  readonly #threads = new ByteNames("threads");
  readonly #variables = new ByteNames("variables");
  readonly #locks = new ByteNames("locks");
  readonly #source: ByteSource;
  readonly #block = newBlock(blockEventsMax);
  readonly #bytes = new Uint8Array(lineBytesMax + readBytesMax);
  /** Where the next piece of the file begins. */
  #offset = 0;
  /** What of `#bytes` is still to be parsed: whole lines up to `#end`, and the beginning of one up to `#filled`. */
  #at = 0;
  #end = 0;
  #filled = 0;
  /** Lines before `#at`. */
  #lines = 0;

  constructor(source: ByteSource) {
    this.#source = source;
    this.names = { threads: this.#threads, variables: this.#variables, locks: this.#locks };
  }

  *blocks(): Generator<AbstractBlock, void, undefined> {
    const block = this.#block;
    block.count = 0;
    while (this.#fill()) {
      while (this.#at < this.#end) {
        this.#parse(block);
        if (block.count < blockEventsMax) break;
        yield block;
        block.count = 0;
      }
    }
    if (block.count > 0) yield block;
  }

  /** Gets more whole lines; false when there are no more. */
  #fill(): boolean {
    const bytes = this.#bytes;
    bytes.copyWithin(0, this.#at, this.#filled);
    this.#filled -= this.#at;
    this.#at = 0;
    if (this.#filled >= lineBytesMax) this.#fail(0, "is too long");
    const count = this.#source.read(
      this.#offset,
      bytes.subarray(this.#filled, this.#filled + readBytesMax),
    );
    this.#offset += count;
    this.#filled += count;
    if (count === 0) {
      if (this.#filled === 0) return false;
      // The last line may do without its newline.
      bytes[this.#filled++] = NEWLINE;
    }
    this.#end = bytes.lastIndexOf(NEWLINE, this.#filled - 1) + 1;
    return true;
  }

  /** Parses lines into `block` until it is full or there are no more whole lines. */
  #parse(block: AbstractBlock): void {
    // hot loop
    const bytes = this.#bytes;
    const end = this.#end;
    const { ops, threads, operands, locations } = block;
    const names = this.#threads;
    let { count } = block;
    let at = this.#at;
    while (at < end && count < blockEventsMax) {
      const line = at;
      let hash = HASH_START;
      let byte = bytes[at]!;
      while (byte !== PIPE) {
        if (byte < BLANK) this.#failAt(line, count - block.count, "has no thread before a `|`");
        hash = Math.imul(hash ^ byte, HASH_FACTOR);
        byte = bytes[++at]!;
      }
      if (at === line) this.#failAt(line, count - block.count, "has no thread before a `|`");
      // As if in brackets, which is how a fork or join names it.
      hash = Math.imul(hash ^ CLOSE, HASH_FACTOR);
      threads[count] = names.intern(bytes, line, at, hash);
      const op = operationAt(bytes, at + 1);
      if (op < 0) this.#failAt(line, count - block.count, "has no known operation");
      ops[count] = op & 7;
      at += op >> 3;
      if ((op & 6) === StdOp.begin) {
        while (bytes[at] !== PIPE && bytes[at]! >= BLANK) at++;
        operands[count] = NO_OPERAND;
      } else {
        const name = at;
        hash = HASH_START;
        byte = bytes[at]!;
        while (byte !== PIPE && byte > BLANK) {
          hash = Math.imul(hash ^ byte, HASH_FACTOR);
          byte = bytes[++at]!;
        }
        if (bytes[at - 1] !== CLOSE || at - 1 <= name)
          this.#failAt(line, count - block.count, "has no operand in brackets");
        const table =
          (op & 6) === StdOp.read ? this.#variables : (op & 4) === 0 ? this.#locks : names;
        operands[count] = table.intern(bytes, name, at - 1, hash);
      }
      if (bytes[at] !== PIPE)
        this.#failAt(line, count - block.count, "has no location behind a second `|`");
      byte = bytes[++at]!;
      const sign = byte;
      if (sign === MINUS || sign === PLUS) byte = bytes[++at]!;
      const digits = at;
      let location = 0;
      while (byte >= DIGIT_0 && byte <= DIGIT_0 + 9 && location < 2 ** 31) {
        location = location * 10 + byte - DIGIT_0;
        byte = bytes[++at]!;
      }
      if (byte === RETURN) byte = bytes[++at]!;
      if (sign === MINUS) location = -location;
      if (byte !== NEWLINE || at === digits || location !== (location | 0))
        this.#failAt(line, count - block.count, "has no 32-bit integer as its location");
      if (++at - line > lineBytesMax) this.#failAt(line, count - block.count, "is too long");
      locations[count++] = location;
    }
    this.#lines += count - block.count;
    this.#at = at;
    block.count = count;
  }

  #failAt(start: number, linesSince: number, what: string): never {
    this.#lines += linesSince;
    this.#fail(start, what);
  }

  #fail(start: number, what: string): never {
    const bytes = this.#bytes.subarray(start, Math.min(this.#filled, start + lineBytesMax));
    const newline = bytes.indexOf(NEWLINE);
    const text = Buffer.from(newline < 0 ? bytes : bytes.subarray(0, newline)).toString();
    const quoted = JSON.stringify(
      text.length > QUOTED_MAX ? `${text.slice(0, QUOTED_MAX)}...` : text,
    );
    throw new QuiesceError(
      "input",
      `Line ${this.#lines + 1} ${what}: ${quoted}; an event looks like T0|w(V1)|12.`,
    );
  }
}

/** The operation whose word begins at `at`, in the lowest three bits; above them how far its operand is from the `|` before. */
function operationAt(bytes: Uint8Array, at: number): number {
  // hot loop
  const second = bytes[at + 1]!;
  switch (bytes[at]) {
    case R:
      if (second === OPEN) return StdOp.read | (3 << 3);
      return second === E && isWord(bytes, at + 2, "l(") ? StdOp.release | (5 << 3) : -1;
    case W:
      return second === OPEN ? StdOp.write | (3 << 3) : -1;
    case A:
      return isWord(bytes, at + 1, "cq(") ? StdOp.acquire | (5 << 3) : -1;
    case F:
      return isWord(bytes, at + 1, "ork(") ? StdOp.fork | (6 << 3) : -1;
    case J:
      return isWord(bytes, at + 1, "oin(") ? StdOp.join | (6 << 3) : -1;
    case B:
      return isWord(bytes, at + 1, "egin") ? StdOp.begin | (6 << 3) : -1;
    case E:
      return isWord(bytes, at + 1, "nd") ? StdOp.end | (4 << 3) : -1;
    default:
      return -1;
  }
}

/** Whether `word` stands at `at`. A newline differs from every letter, so this never looks beyond its line. */
function isWord(bytes: Uint8Array, at: number, word: string): boolean {
  for (let i = 0; i < word.length; i++) if (bytes[at + i] !== word.charCodeAt(i)) return false;
  return true;
}
