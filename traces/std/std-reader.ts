// RAPID's text form of a trace (STD): one event a line, `T0|w(V1.x)|12`: thread, operation with its operand, location.
//
// Bytes are read in large pieces and parsed as bytes, up to the last whole line of each piece; what is left of it moves to the
// front of the next. A line ends at its newline whatever is in it, so the inner loops test for nothing else. An access or lock
// operation whose names were seen before, and are a letter and a number, takes the short way; all else the long one, which
// checks everything. As strict as RAPID's own parser: names have no blanks, locations are 32-bit integers, `begin` and `end`
// take no operand (one in brackets is ignored). Stricter in that an unknown operation or an empty line is an error.

import { QuiesceError } from "#core/base";
import type { ByteSource } from "../byte-source.ts";
import {
  type AbstractBlock,
  type AbstractNames,
  type AbstractSource,
  NO_OPERAND,
  newBlock,
  STD_WORDS,
  StdOp,
} from "./abstract-trace.ts";
import { ByteNames, decimalAt } from "./byte-names.ts";
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
const [A, C, E, L, Q, R, W] = [0x61, 0x63, 0x65, 0x6c, 0x71, 0x72, 0x77];
/** What each operation looks like in the text, by its number. */
const WORDS = STD_WORDS.map((word) => {
  const needsOperand = word !== "begin" && word !== "end";
  return [...(needsOperand ? `${word}(` : word)].map((letter) => letter.charCodeAt(0));
});
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
    if (this.#filled >= lineBytesMax) this.#fail(0, this.#lines, "is too long");
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
    const { numbered } = this.#threads;
    const first = block.count;
    let at = this.#at;
    while (at < end && block.count < blockEventsMax) {
      const line = at;
      const count = block.count;
      let number = decimalAt(bytes, at + 1);
      const thread = numbered[number >> 4]!;
      const isKnown = number !== 0 && bytes[at] === this.#threads.prefix && thread !== 0;
      at += 1 + (number & 15);
      const op = isKnown && bytes[at] === PIPE ? shortOperationAt(bytes, at + 1) : -1;
      if (op >= 0) {
        at += op < StdOp.read ? 5 : 3;
        const names = op < StdOp.read ? this.#locks : this.#variables;
        number = decimalAt(bytes, at + 1);
        const operand = names.numbered[number >> 4]!;
        const isNamed = number !== 0 && bytes[at] === names.prefix && operand !== 0;
        at += 1 + (number & 15);
        number = decimalAt(bytes, at + 2);
        if (isNamed && bytes[at] === CLOSE && bytes[at + 1] === PIPE && number !== 0) {
          at += 2 + (number & 15);
          if (bytes[at] === NEWLINE) {
            ops[count] = op;
            threads[count] = thread - 1;
            operands[count] = operand - 1;
            locations[count] = number >> 4;
            block.count++;
            at++;
            continue;
          }
        }
      }
      at = this.#line(block, line, this.#lines + count - first);
      block.count++;
    }
    this.#lines += block.count - first;
    this.#at = at;
  }

  /** The line from `start` on as the next event of `block`; returns where it ends. `before`: lines before it. */
  #line(block: AbstractBlock, start: number, before: number): number {
    const bytes = this.#bytes;
    const { count } = block;
    let at = start;
    while (bytes[at] !== PIPE && (bytes[at] ?? 0) >= BLANK) at++;
    if (at === start || bytes[at] !== PIPE) this.#fail(start, before, "has no thread before a `|`");
    block.threads[count] = this.#threads.intern(bytes, start, at);
    const op = operationAt(bytes, at + 1);
    if (op < 0) this.#fail(start, before, "has no known operation");
    block.ops[count] = op;
    block.operands[count] = NO_OPERAND;
    at += 1 + (STD_WORDS[op]?.length ?? 0);
    if (op === StdOp.begin || op === StdOp.end) {
      while (bytes[at] !== PIPE && (bytes[at] ?? 0) >= BLANK) at++;
    } else {
      const name = ++at;
      while (bytes[at] !== PIPE && (bytes[at] ?? 0) > BLANK) at++;
      if (bytes[at - 1] !== CLOSE || at - 1 <= name)
        this.#fail(start, before, "has no operand in brackets");
      block.operands[count] = this.#namesOf(op).intern(bytes, name, at - 1);
    }
    if (bytes[at] !== PIPE) this.#fail(start, before, "has no location behind a second `|`");
    const newline = bytes.indexOf(NEWLINE, at);
    const location = integerIn(
      bytes,
      at + 1,
      bytes[newline - 1] === RETURN ? newline - 1 : newline,
    );
    if (Number.isNaN(location)) this.#fail(start, before, "has no 32-bit integer as its location");
    if (newline - start >= lineBytesMax) this.#fail(start, before, "is too long");
    block.locations[count] = location;
    return newline + 1;
  }

  #namesOf(op: number): ByteNames {
    if (op === StdOp.fork || op === StdOp.join) return this.#threads;
    return op === StdOp.read || op === StdOp.write ? this.#variables : this.#locks;
  }

  #fail(start: number, before: number, what: string): never {
    const bytes = this.#bytes.subarray(start, Math.min(this.#filled, start + lineBytesMax));
    const newline = bytes.indexOf(NEWLINE);
    const text = Buffer.from(newline < 0 ? bytes : bytes.subarray(0, newline)).toString();
    const quoted = JSON.stringify(
      text.length > QUOTED_MAX ? `${text.slice(0, QUOTED_MAX)}...` : text,
    );
    throw new QuiesceError(
      "input",
      `Line ${before + 1} ${what}: ${quoted}; an event looks like T0|w(V1)|12.`,
    );
  }
}

/** The operation at `at` when it is one that is frequent, else -1. */
function shortOperationAt(bytes: Uint8Array, at: number): number {
  // hot loop
  const first = bytes[at]!;
  const second = bytes[at + 1]!;
  if (second === OPEN) return first === R ? StdOp.read : first === W ? StdOp.write : -1;
  if (bytes[at + 3] !== OPEN) return -1;
  if (first === A) return second === C && bytes[at + 2] === Q ? StdOp.acquire : -1;
  return first === R && second === E && bytes[at + 2] === L ? StdOp.release : -1;
}

/** The operation whose word is at `at`, with its bracket if it needs one; -1 when there is none. */
function operationAt(bytes: Uint8Array, at: number): number {
  return WORDS.findIndex((word) => word.every((byte, i) => bytes[at + i] === byte));
}

/** The 32-bit integer that all of `bytes` from `start` to `end` is, with or without a sign; NaN if it is none. */
function integerIn(bytes: Uint8Array, start: number, end: number): number {
  const isNegative = bytes[start] === MINUS;
  const digits = isNegative || bytes[start] === PLUS ? start + 1 : start;
  if (digits >= end) return Number.NaN;
  let value = 0;
  for (let at = digits; at < end; at++) {
    const digit = (bytes[at] ?? 0) - DIGIT_0;
    if (digit < 0 || digit > 9) return Number.NaN;
    value = value * 10 + digit;
  }
  const signed = isNegative ? -value : value;
  return signed === (signed | 0) ? signed : Number.NaN;
}
