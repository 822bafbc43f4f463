// Where the data of a file is, and where its holes are: the host knows.

import { assert } from "../base/index.ts";
import {
  BDRV_BLOCK_DATA,
  BDRV_BLOCK_OFFSET_VALID,
  BDRV_BLOCK_ZERO,
  type BlockStatus,
} from "../graph/driver-results.ts";
import type { BlockDriverState } from "../graph/state.ts";
import { alignDown, alignUp } from "../io/limits.ts";
import { site } from "../probe/index.ts";
import { type Co, HOST_STATUS_BYTES_MAX, ioCode } from "../sched/index.ts";

const SITE_STATUS = site("raw_co_block_status/file");

/**
 * raw_co_block_status (block/file-posix.c:2799): of the first bytes of the range that are alike. `ask` puts the question to the host about
 * so many bytes from `offset` on. Where it has no answer there are no holes, which is never wrong.
 *
 * The question goes as far as the file does, so that the block layer remembers as much data as there is in one piece.
 */
export function* fileBlockStatus(
  bs: BlockDriverState,
  ask: ((bytes: number) => Co<number>) | null,
  offset: number,
  bytes: number,
): Co<BlockStatus> {
  ioCode(bs.aioContext, SITE_STATUS);
  assert(bytes > 0, "a range has bytes");
  const here = { map: offset, file: bs };
  const data = BDRV_BLOCK_DATA | BDRV_BLOCK_OFFSET_VALID;
  if (ask === null) return { ret: data, pnum: bytes, ...here };
  const far = Math.max(bytes, alignUp(bs.totalBytes - offset, bs.requestAlignment));
  const answer = yield* ask(Math.min(far, HOST_STATUS_BYTES_MAX));
  if (answer < 0) return { ret: data, pnum: bytes, ...here };
  assert(answer > 1, "some bytes are alike");
  const alike = Math.floor(answer / 2);
  const isHole = answer % 2 === 0;
  const hole = isHole ? alignDown(alike, bs.requestAlignment) : 0;
  if (hole > 0) return { ret: BDRV_BLOCK_ZERO | BDRV_BLOCK_OFFSET_VALID, pnum: hole, ...here };
  // A block that has some data, as the one in which the file ends, is data as a whole.
  return {
    ret: data,
    pnum: isHole ? bs.requestAlignment : alignUp(alike, bs.requestAlignment),
    ...here,
  };
}
