// RapidBin, the binary twin of RAPID's text form (AFKoffee/wasmgrind): a header of 18 bytes, then 8 bytes an event, big-endian.
//
//   header:  threads int16, locks int32, variables int32, events int64
//   event:   0 | location 15 bits | operand 34 bits | operation 4 bits | thread 10 bits
//
// Operations have the numbers of StdOp; 8 is a request for a lock, which orders nothing and is left out. There are no names, only
// numbers with gaps: number 7 of a lock becomes the name "L7".

import { QuiesceError } from "#core/base";
import type { ByteSource } from "../byte-source.ts";
import {
  type AbstractBlock,
  type AbstractNames,
  type AbstractSource,
  type NameTable,
  NO_OPERAND,
  newBlock,
  StdOp,
} from "./abstract-trace.ts";
import { blockEventsMax, namesMax } from "./limits.ts";

const HEADER_BYTES = 18;
const EVENT_BYTES = 8;
const THREAD_MAX = (1 << 10) - 1;
const LOCATION_MAX = (1 << 15) - 1;
const REQUEST = 8;

export class RapidBinReader implements AbstractSource {
  readonly names: AbstractNames;
  readonly #threads = new NumberNames("T");
  readonly #variables = new NumberNames("V");
  readonly #locks = new NumberNames("L");
  readonly #source: ByteSource;

  constructor(source: ByteSource) {
    this.#source = source;
    this.names = { threads: this.#threads, variables: this.#variables, locks: this.#locks };
  }

  *blocks(): Generator<AbstractBlock, void, undefined> {
    const source = this.#source;
    const events = this.#eventCount();
    const bytes = new Uint8Array(blockEventsMax * EVENT_BYTES);
    const block = newBlock(blockEventsMax);
    for (let first = 0; first < events; first += blockEventsMax) {
      const count = source.read(HEADER_BYTES + first * EVENT_BYTES, bytes) / EVENT_BYTES;
      const expected = Math.min(blockEventsMax, events - first);
      if (count < expected)
        refuse(`ends after ${first + Math.floor(count)} of its ${events} events`);
      this.#decode(bytes, first, expected, block);
      if (block.count > 0) yield block;
    }
  }

  #eventCount(): number {
    const header = new Uint8Array(HEADER_BYTES);
    if (this.#source.read(0, header) < HEADER_BYTES) refuse("has no header of 18 bytes");
    const events = new DataView(header.buffer).getBigInt64(10);
    if (events < 0n || events > BigInt(Number.MAX_SAFE_INTEGER))
      refuse("has no number of events in its header");
    return Number(events);
  }

  #decode(
    bytes: Uint8Array<ArrayBuffer>,
    first: number,
    expected: number,
    block: AbstractBlock,
  ): void {
    // hot loop
    const view = new DataView(bytes.buffer);
    const { ops, threads, operands, locations } = block;
    const threadNumbers = this.#threads.small;
    const variableNumbers = this.#variables.small;
    let count = 0;
    for (let i = 0; i < expected; i++) {
      const high = view.getInt32(EVENT_BYTES * i);
      const low = view.getInt32(EVENT_BYTES * i + 4);
      const op = (low >>> 10) & 15;
      if (high < 0 || op >= REQUEST) {
        if (high >= 0 && op === REQUEST) continue;
        refuse(`has no event with a known operation at number ${first + i}`);
      }
      const thread = threadNumbers[low & THREAD_MAX]!;
      // Nearly all are accesses to variables that have a number below 2^18, and were seen before.
      const isShort = (op & 6) === StdOp.read && (high & 0xffff) === 0;
      const operand = isShort ? variableNumbers[low >>> 14]! : 0;
      ops[count] = op;
      threads[count] = thread > 0 ? thread - 1 : this.#threads.numberOf(low & THREAD_MAX);
      operands[count] =
        operand > 0 ? operand - 1 : this.#numberOf(op, (high & 0xffff) * 2 ** 18 + (low >>> 14));
      locations[count++] = high >> 16;
    }
    block.count = count;
  }

  #numberOf(op: number, operand: number): number {
    switch (op) {
      case StdOp.read:
      case StdOp.write:
        return this.#variables.numberOf(operand);
      case StdOp.acquire:
      case StdOp.release:
        return this.#locks.numberOf(operand);
      case StdOp.fork:
      case StdOp.join:
        if (operand > THREAD_MAX)
          refuse(`forks or joins a thread ${operand}, and has only ${THREAD_MAX + 1}`);
        return this.#threads.numberOf(operand);
      default:
        return NO_OPERAND;
    }
  }
}

/** Dense numbers for numbers with gaps, up to 2^34. */
class NumberNames implements NameTable {
  readonly #prefix: string;
  readonly #originals: number[] = [];
  /** Number + 1 by original, 0 for one that was not seen; large ones in the map. */
  readonly small = new Int32Array(1 << 20);
  readonly #large = new Map<number, number>();

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  get count(): number {
    return this.#originals.length;
  }

  name(index: number): string {
    return `${this.#prefix}${this.#originals[index]}`;
  }

  numberOf(original: number): number {
    // hot loop
    const isSmall = original < this.small.length;
    const known = isSmall ? this.small[original]! : (this.#large.get(original) ?? 0);
    if (known !== 0) return known - 1;
    if (this.count === namesMax) refuse(`names more than ${namesMax} threads, locks or variables`);
    const number = this.#originals.push(original);
    if (isSmall) this.small[original] = number;
    else this.#large.set(original, number);
    return number - 1;
  }
}

/** The header of a trace; written last, as it counts. */
export function rapidBinHeader(names: AbstractNames, events: number): Uint8Array {
  const header = new Uint8Array(HEADER_BYTES);
  const view = new DataView(header.buffer);
  view.setInt16(0, names.threads.count);
  view.setInt32(2, names.locks.count);
  view.setInt32(6, names.variables.count);
  view.setBigInt64(10, BigInt(events));
  return header;
}

/** The events of `block`. Throws QuiesceError("limit") when one does not fit into the format. */
export function rapidBinEvents({
  ops,
  threads,
  operands,
  locations,
  count,
}: AbstractBlock): Uint8Array {
  const bytes = new Uint8Array(EVENT_BYTES * count);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < count; i++) {
    const thread = threads[i] ?? 0;
    const operand = Math.max(0, operands[i] ?? 0);
    const location = locations[i] ?? 0;
    if (thread > THREAD_MAX) tooLarge(`thread ${thread}`, THREAD_MAX);
    if (location < 0 || location > LOCATION_MAX) tooLarge(`location ${location}`, LOCATION_MAX);
    view.setInt32(EVENT_BYTES * i, (location << 16) | (operand >>> 18));
    view.setInt32(EVENT_BYTES * i + 4, (operand << 14) | ((ops[i] ?? 0) << 10) | thread);
  }
  return bytes;
}

export const rapidBinHeaderBytes = HEADER_BYTES;

function refuse(what: string): never {
  throw new QuiesceError("input", `The RapidBin trace ${what}.`);
}

function tooLarge(what: string, max: number): never {
  throw new QuiesceError(
    "limit",
    `RapidBin ends at ${max} and this trace has ${what}; write STD instead.`,
  );
}
