// What guests write: 32-bit words that follow from the byte position and the generation, so that every block tells which write it
// came from, and a guest that knows its own generations can check what it reads without keeping a copy.
//
// Generation 0 was never written: it reads as zeroes. In replay guest memory is poisoned (it has no contents): filling it
// does nothing, and comparing goes through `hostDecide`, which has the recorded answer.

import { assert } from "#core/base";
import type { GuestBuffer } from "#core/sched";

/** Guests read and write whole sectors. */
export const SECTOR_BYTES = 512;

const WORD_BYTES = 4;

/** A range of guest memory that stands for the bytes at `position` of an image. */
export interface PatternRange {
  readonly buffer: GuestBuffer;
  /** Where in the buffer. */
  readonly start: number;
  readonly bytes: number;
  readonly position: number;
}

/** Fill the range with the pattern of `generation`. */
export function fillPattern(range: PatternRange, generation: number): void {
  const data = range.buffer.data;
  if (data === null) return;
  const view = wordsOf(range, data);
  for (let at = 0; at < range.bytes; at += WORD_BYTES)
    view.setUint32(at, wordAt(range.position + at, generation), true);
}

/** Whether the range holds the pattern of `generation`: 1 or 0. Looks at guest data: ask it through `hostDecide`. */
export function matchesPattern(range: PatternRange, generation: number): number {
  const data = range.buffer.data;
  assert(data !== null, "guest memory that is compared has contents");
  const view = wordsOf(range, data);
  for (let at = 0; at < range.bytes; at += WORD_BYTES)
    if (view.getUint32(at, true) !== wordAt(range.position + at, generation)) return 0;
  return 1;
}

function wordsOf({ start, bytes, position }: PatternRange, data: Uint8Array): DataView {
  assert(bytes % SECTOR_BYTES === 0, "guests write whole sectors");
  assert(position % SECTOR_BYTES === 0, "guests write at sectors");
  return new DataView(data.buffer, data.byteOffset + start, bytes);
}

/** A multiplicative hash of position and generation; never zero but for generation 0, so that stale zeroes show. */
function wordAt(position: number, generation: number): number {
  if (generation === 0) return 0;
  const mixed =
    Math.imul(position / WORD_BYTES + 1, 0x9e3779b1) ^ Math.imul(generation, 0x85ebca6b);
  return ((mixed ^ (mixed >>> 15)) | 1) >>> 0;
}
