// Requests that are not aligned to the node's `requestAlignment` are widened: reads go through a buffer of the wider size,
// writes read what is around them, put the new bytes between, and write it all back, alone in that range.
//
//   |<---- align ----->|                   |<---- align ----->|
//   |<-- head -->|<------------ bytes ------------->|<-tail ->|
//   ^ start                                                   ^ start + length

import { assert } from "../base/index.ts";
import type { BlockDriverState } from "../graph/state.ts";
import { type GuestBuffer, hostAllocate } from "../sched/index.ts";
import { alignDown, alignUp } from "./limits.ts";

/** The widened range of a request (C: BdrvRequestPadding). */
export interface BdrvRequestPadding {
  readonly head: number;
  readonly tail: number;
  readonly start: number;
  readonly length: number;
  /** Holds the whole widened range. */
  readonly buffer: GuestBuffer;
}

/**
 * bdrv_init_padding (io.c:1589): null for an aligned request. Differs from QEMU: the buffer holds the middle as well. Common.
 */
export function bdrvInitPadding(
  bs: BlockDriverState,
  offset: number,
  bytes: number,
): BdrvRequestPadding | null {
  const align = bs.requestAlignment;
  assert(align > 0, "alignments are positive");
  const start = alignDown(offset, align);
  const end = alignUp(offset + bytes, align);
  const head = offset - start;
  const tail = end - (offset + bytes);
  if (head === 0 && tail === 0) return null;
  assert(bytes > 0, "a request for nothing is not widened");
  return { head, tail, start, length: end - start, buffer: hostAllocate(end - start) };
}
