// Wall clock stamps: one for every 16th event of the run, in a column of its own, outside comparison and digest.
//
// Nanoseconds as safe integers. A chunk holds the stamps of those of its events whose position in the run is a multiple of
// 16; the first as it is, the others as differences, since clocks mostly go forward by little.

import { ColumnReader, ColumnWriter } from "./varint.ts";

/** Events for one reading of the clock: at 39 ns a reading, 2.4 ns an event. */
export const EVENTS_PER_STAMP = 16;

/** The stamps of a batch: `ns[i]` belongs to the event at index `first + i * EVENTS_PER_STAMP` of the batch. */
export interface ClockStamps {
  readonly first: number;
  readonly ns: readonly number[];
}

/** How many of `count` events from position `first` on have a stamp. */
export function stampsIn(first: number, count: number): number {
  return Math.ceil((first + count) / EVENTS_PER_STAMP) - Math.ceil(first / EVENTS_PER_STAMP);
}

/** The bytes of a chunk's clock column. */
export function encodeStamps(stamps: readonly number[]): Uint8Array {
  const column = new ColumnWriter();
  let previous = 0;
  for (const stamp of stamps) {
    column.wide(stamp, previous);
    previous = stamp;
  }
  return column.bytes().slice();
}

/** The stamps of a chunk of `count` events from position `first` on; throws RangeError when they do not fit. */
export function decodeStamps(bytes: Uint8Array, first: number, count: number): ClockStamps {
  const column = new ColumnReader(bytes);
  const ns: number[] = [];
  let previous = 0;
  for (let left = stampsIn(first, count); left > 0; left--) {
    previous = column.wide(previous);
    ns.push(previous);
  }
  if (!column.atEnd) throw new RangeError("its clock stamps do not fit its events");
  return { first: Math.ceil(first / EVENTS_PER_STAMP) * EVENTS_PER_STAMP - first, ns };
}
