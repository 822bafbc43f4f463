// What a BlockBackend does without counting in flight and without waiting at the gate: truncate, copy, plug. A drained section
// of the root does not keep these out (docs/known-findings.md).

import { ENOMEDIUM } from "../base/index.ts";
import { PLAIN_TRUNCATION, type Truncation } from "../graph/truncation.ts";
import { bdrvCoCopyRange } from "../io/copy-range.ts";
import { bdrvIoPlug, bdrvIoUnplug } from "../io/plug.ts";
import { bdrvCoTruncate } from "../io/truncate.ts";
import { site } from "../probe/index.ts";
import { type Co, ioCode, ioOrGsCode, modelAssert } from "../sched/index.ts";
import { blkCheckByteRequest, blkIsAvailable } from "./available.ts";
import type { BlockBackend } from "./block-backend.ts";
import { blkBs, blkRoot } from "./root.ts";

const SITE_TRUNCATE = site("blk_co_truncate");
const SITE_COPY = site("blk_co_copy_range");
const SITE_PLUG = site("blk_io_plug");
const SITE_UNPLUG = site("blk_io_unplug");

/** blk_co_truncate (block-backend.c:2347): 0 or a negated errno, with the reason said to `how`. */
export function* blkCoTruncate(
  blk: BlockBackend,
  offset: number,
  how: Truncation = PLAIN_TRUNCATION,
): Co<number> {
  ioOrGsCode(blk.ctx, SITE_TRUNCATE);
  if (!blkIsAvailable(blk)) {
    how.errorSetg("No medium inserted");
    return -ENOMEDIUM;
  }
  const root = blkRoot(blk, SITE_TRUNCATE);
  modelAssert(root !== null, "blk->root", SITE_TRUNCATE);
  return yield* bdrvCoTruncate(root, offset, how);
}

/** blk_co_copy_range (block-backend.c:2600): 0 or a negated errno. */
export function* blkCoCopyRange(
  blkIn: BlockBackend,
  offIn: number,
  blkOut: BlockBackend,
  offOut: number,
  bytes: number,
): Co<number> {
  ioCode(blkIn.ctx, SITE_COPY);
  const inChecked = blkCheckByteRequest(blkIn, offIn, bytes);
  if (inChecked < 0) return inChecked;
  const outChecked = blkCheckByteRequest(blkOut, offOut, bytes);
  if (outChecked < 0) return outChecked;
  const src = blkRoot(blkIn, SITE_COPY);
  const dst = blkRoot(blkOut, SITE_COPY);
  modelAssert(src !== null, "blk_in->root", SITE_COPY);
  modelAssert(dst !== null, "blk_out->root", SITE_COPY);
  const range = { src, srcOffset: offIn, dst, dstOffset: offOut, bytes, writeFlags: 0 };
  return yield* bdrvCoCopyRange(range);
}

/** blk_io_plug (block-backend.c:2297). */
export function blkIoPlug(blk: BlockBackend): void {
  ioCode(blk.ctx, SITE_PLUG);
  const bs = blkBs(blk, SITE_PLUG);
  if (bs !== null) bdrvIoPlug(bs);
}

/** blk_io_unplug (block-backend.c:2307). */
export function blkIoUnplug(blk: BlockBackend): void {
  ioCode(blk.ctx, SITE_UNPLUG);
  const bs = blkBs(blk, SITE_UNPLUG);
  if (bs !== null) bdrvIoUnplug(bs);
}
