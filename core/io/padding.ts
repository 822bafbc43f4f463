// Requests that are not aligned to the node's `requestAlignment` are widened: reads go through a buffer of the wider size,
// writes read what is around them, put the new bytes between, and write it all back, alone in that range.
//
//   |<---- align ----->|                   |<---- align ----->|
//   |<-- head -->|<------------ bytes ------------->|<-tail ->|
//   ^ start                                                   ^ start + length

import { assert } from "../base/index.ts";
import type { BlockDriverState, Qiov } from "../graph/state.ts";
import { type GuestBuffer, hostAllocate } from "../sched/index.ts";
import { qiovOf } from "./guest-copy.ts";
import { alignDown, alignUp } from "./limits.ts";

/** The widened range of a request (C: BdrvRequestPadding). */
export interface BdrvRequestPadding {
  readonly head: number;
  readonly tail: number;
  readonly start: number;
  readonly length: number;
  /** Holds the whole widened range, or, of zeroes, the blocks at its ends. */
  readonly buffer: GuestBuffer;
  /** One read does for what is covered in part: the one block, or two that touch. */
  readonly mergeReads: boolean;
  /** The places of the first and the last block in the buffer. */
  readonly headBlock: Qiov;
  readonly tailBlock: Qiov;
}

/**
 * bdrv_init_padding (io.c:1589): null for an aligned request. Common. Differs from QEMU: the buffer holds the middle as well, unless
 * the request is for zeroes (`isZeroes`), which have none.
 */
export function bdrvInitPadding(
  bs: BlockDriverState,
  offset: number,
  bytes: number,
  isZeroes = false,
): BdrvRequestPadding | null {
  const align = bs.requestAlignment;
  assert(align > 0, "alignments are positive");
  const start = alignDown(offset, align);
  const end = alignUp(offset + bytes, align);
  const head = offset - start;
  const tail = end - (offset + bytes);
  if (head === 0 && tail === 0) return null;
  assert(bytes > 0, "a request for nothing is not widened");
  const length = end - start;
  const ends = head > 0 && tail > 0 && length > align ? 2 * align : align;
  const buffer = hostAllocate(isZeroes ? ends : length);
  const [headBlock, tailBlock] = [qiovOf(buffer), qiovOf(buffer, buffer.length - align)];
  return { head, tail, start, length, buffer, mergeReads: ends === length, headBlock, tailBlock };
}
