// Where the bytes of a range come from: this layer, a layer below, or nowhere (zeroes).
//
//   bdrvCoCommonBlockStatusAbove   from `bs` down its chain of backing files and filtered nodes, to the first that decides
//     bdrvCoBlockStatus            one node: its driver, or what follows without one; counts in flight there
//
// As in QEMU, the filtered child is looked up before the node's in-flight counter is raised, and the walk down the chain is
// counted nowhere: a caller with a counter of its own higher up is what protects both.

import { assert } from "../base/index.ts";
import { childrenOf, edgeBs } from "../graph/access.ts";
import { bdrvCowChild, bdrvFilterChild, bdrvFilterOrCowBs } from "../graph/chain.ts";
import {
  BDRV_BLOCK_ALLOCATED,
  BDRV_BLOCK_DATA,
  BDRV_BLOCK_EOF,
  BDRV_BLOCK_OFFSET_VALID,
  BDRV_BLOCK_RAW,
  BDRV_BLOCK_RECURSE,
  BDRV_BLOCK_ZERO,
  type BlockStatus,
} from "../graph/driver-results.ts";
import type { BlockDriverState } from "../graph/state.ts";
import { Request, site } from "../probe/index.ts";
import { type Co, coChain, coThen, ioCode, modelAssert, settled } from "../sched/index.ts";
import { bdrvBscDataBytes, bdrvBscFill } from "./block-status-cache.ts";
import { nodeBehind } from "./inserted.ts";
import { bdrvGetlength } from "./length.ts";
import { alignDown, alignUp } from "./limits.ts";
import { requestBegin, requestEnd } from "./request.ts";

const SITE_STATUS = site("bdrv_co_block_status");
const SITE_ABOVE = site("bdrv_co_common_block_status_above");

/** Where a walk down the chain ends. */
export interface StatusBase {
  /** Null: at the end of the chain. */
  readonly base: BlockDriverState | null;
  readonly includeBase: boolean;
}

/** A range, and whether to look hard for zeroes in it. */
export interface StatusRange {
  readonly wantZero: boolean;
  readonly offset: number;
  readonly bytes: number;
}

/** The status of a range, and how many layers down it was found, from 1 (C: depth). */
export interface StatusAbove extends BlockStatus {
  readonly depth: number;
}

/** bdrv_co_common_block_status_above (io.c:2613): the first layer from `bs` down to `base` that decides what is read. */
export function bdrvCoCommonBlockStatusAbove(
  bs: BlockDriverState,
  { base, includeBase }: StatusBase,
  range: StatusRange,
): Co<StatusAbove> {
  ioCode(bs.aioContext, SITE_ABOVE);
  assert(!includeBase || base !== null, "the end of a chain is no layer");
  if (!includeBase && bs === base)
    return settled({ ret: 0, pnum: range.bytes, map: 0, file: null, depth: 0 });
  return coChain(bdrvCoBlockStatus(bs, range), (top) => {
    if (top.ret < 0 || top.pnum === 0 || bs === base) return settled(atDepth(top, 1));
    if ((top.ret & BDRV_BLOCK_ALLOCATED) !== 0) return settled(atDepth(top, 1));
    const eof = (top.ret & BDRV_BLOCK_EOF) !== 0 ? range.offset + top.pnum : 0;
    return coThen(statusBelow(bs, { base, includeBase }, range, top), (found) => {
      if (found.ret < 0 || range.offset + found.pnum !== eof) return found;
      return { ...found, ret: found.ret | BDRV_BLOCK_EOF };
    });
  });
}

/** Field by field: spreading a status in each request costs as much as asking for it. */
function atDepth({ ret, pnum, map, file }: BlockStatus, depth: number): StatusAbove {
  return { ret, pnum, map, file, depth };
}

/** The layers below `bs`, which left all of `top` to them. */
function* statusBelow(
  bs: BlockDriverState,
  { base, includeBase }: StatusBase,
  { wantZero, offset }: StatusRange,
  top: BlockStatus,
): Co<StatusAbove> {
  let found = atDepth(top, 1);
  for (let at = bdrvFilterOrCowBs(bs); includeBase || at !== base; at = bdrvFilterOrCowBs(at)) {
    modelAssert(at !== null, "p", SITE_ABOVE);
    const bytes = found.pnum;
    const status = yield* bdrvCoBlockStatus(at, { wantZero, offset, bytes });
    const depth = found.depth + 1;
    found = atDepth(status, depth);
    if (status.ret < 0) return found;
    if (status.pnum === 0) {
      // This layer is short, and what the upper one reads behind its end are zeroes, as if they were allocated here.
      modelAssert((status.ret & BDRV_BLOCK_EOF) !== 0, "ret & BDRV_BLOCK_EOF", SITE_ABOVE);
      const ret = BDRV_BLOCK_ZERO | BDRV_BLOCK_ALLOCATED;
      return { ret, pnum: bytes, map: status.map, file: at, depth };
    }
    // Where the image ends is a matter of the top layer alone.
    if ((status.ret & BDRV_BLOCK_ALLOCATED) !== 0)
      return { ...found, ret: status.ret & ~BDRV_BLOCK_EOF };
    if (at === base) return found;
  }
  return found;
}

/** bdrv_co_block_status (io.c:2385): what the layer of `bs` alone knows about the start of a range, at most all of it. */
export function bdrvCoBlockStatus(bs: BlockDriverState, range: StatusRange): Co<BlockStatus> {
  ioCode(bs.aioContext, SITE_STATUS);
  const { offset } = range;
  assert(offset >= 0, "a range lies inside an image");
  assert(range.bytes >= 0, "byte counts are not negative");
  const total = bdrvGetlength(bs);
  if (total < 0) return settled(nothing(total));
  if (offset >= total) return settled(nothing(BDRV_BLOCK_EOF));
  if (range.bytes === 0) return settled(nothing(0));
  const bytes = Math.min(range.bytes, total - offset);
  const hasFiltered = bdrvFilterChild(bs) !== null;
  const eof = (pnum: number): number => (offset + pnum === total ? BDRV_BLOCK_EOF : 0);
  if (bs.drv.coBlockStatus === undefined && !hasFiltered) {
    const ret = BDRV_BLOCK_DATA | BDRV_BLOCK_ALLOCATED | eof(bytes);
    if (bs.drv.isProtocol !== true) return settled({ ret, pnum: bytes, map: 0, file: null });
    return settled({ ret: ret | BDRV_BLOCK_OFFSET_VALID, pnum: bytes, map: offset, file: bs });
  }
  const outermost = requestBegin(bs, Request.other, offset, bytes);
  return coThen(statusCounted(bs, { wantZero: range.wantZero, offset, bytes }), (status) => {
    requestEnd(bs, Request.other, Math.min(status.ret, 0), outermost);
    if (status.ret < 0) return status;
    const { ret, pnum, map, file } = status;
    return { ret: ret | eof(pnum), pnum, map, file };
  });
}

/** The range was cut at the end of the node, and counts in flight. */
function statusCounted(bs: BlockDriverState, range: StatusRange): Co<BlockStatus> {
  const { wantZero, offset, bytes } = range;
  const align = bs.requestAlignment;
  const start = alignDown(offset, align);
  const head = offset - start;
  const asked = { wantZero, offset: start, bytes: alignUp(offset + bytes, align) - start };
  return coChain(askDriver(bs, asked), (answer) => answered(bs, range, head, answer));
}

/** The driver's answer, to a question with `head` bytes too many in front, and what follows from it. */
function answered(
  bs: BlockDriverState,
  { wantZero, offset, bytes }: StatusRange,
  head: number,
  answer: BlockStatus,
): Co<BlockStatus> {
  if (answer.ret < 0) return settled(nothing(answer.ret));
  assertDriverStatus(answer, bs.requestAlignment, head);
  const pnum = Math.min(answer.pnum - head, bytes);
  const isMapped = (answer.ret & BDRV_BLOCK_OFFSET_VALID) !== 0;
  const map = isMapped ? answer.map + head : answer.map;
  const { ret, file } = answer;
  if ((ret & BDRV_BLOCK_RAW) !== 0) {
    modelAssert(isMapped, "ret & BDRV_BLOCK_OFFSET_VALID", SITE_STATUS);
    modelAssert(file !== null, "local_file", SITE_STATUS);
    return bdrvCoBlockStatus(file, { wantZero, offset: map, bytes: pnum });
  }
  const status = { ret: ret | impliedStatus(bs, ret, wantZero, offset), pnum, map, file };
  return recurseForZeroes(bs, wantZero, status);
}

/** The driver's answer for an aligned range, the cached one, or that of filters: ask the node below. */
function askDriver(bs: BlockDriverState, range: StatusRange): Co<BlockStatus> {
  const { wantZero, offset, bytes } = range;
  const { coBlockStatus } = bs.drv;
  if (coBlockStatus === undefined) {
    const filtered = bdrvFilterChild(bs);
    modelAssert(filtered !== null, "local_file", SITE_STATUS);
    const file = nodeBehind(filtered, SITE_STATUS);
    const ret = BDRV_BLOCK_RAW | BDRV_BLOCK_OFFSET_VALID;
    return settled({ ret, pnum: bytes, map: offset, file });
  }
  const isLeaf = childrenOf(bs, SITE_STATUS).first === null;
  const data = BDRV_BLOCK_DATA | BDRV_BLOCK_OFFSET_VALID;
  const cached = isLeaf ? bdrvBscDataBytes(bs, offset) : 0;
  if (cached > 0) return settled({ ret: data, pnum: cached, map: offset, file: bs });
  return coThen(coBlockStatus(bs, wantZero, offset, bytes), (answer) => {
    if (wantZero && answer.ret === data && childrenOf(bs, SITE_STATUS).first === null) {
      modelAssert(answer.file === bs, "local_file == bs", SITE_STATUS);
      modelAssert(answer.map === offset, "local_map == aligned_offset", SITE_STATUS);
      bdrvBscFill(bs, offset, answer.pnum);
    }
    return answer;
  });
}

/** What is true of every good answer of a driver to a question with `head` bytes too many in front. */
function assertDriverStatus({ ret, pnum }: BlockStatus, align: number, head: number): void {
  modelAssert(
    pnum > 0 && pnum % align === 0,
    "*pnum && QEMU_IS_ALIGNED(*pnum, align)",
    SITE_STATUS,
  );
  modelAssert(align > head, "align > offset - aligned_offset", SITE_STATUS);
  if ((ret & BDRV_BLOCK_RECURSE) === 0) return;
  modelAssert((ret & BDRV_BLOCK_DATA) !== 0, "ret & BDRV_BLOCK_DATA", SITE_STATUS);
  modelAssert((ret & BDRV_BLOCK_OFFSET_VALID) !== 0, "ret & BDRV_BLOCK_OFFSET_VALID", SITE_STATUS);
  modelAssert((ret & BDRV_BLOCK_ZERO) === 0, "!(ret & BDRV_BLOCK_ZERO)", SITE_STATUS);
}

/** Flags that follow from the driver's `ret`: what nobody below could provide is zero. */
function impliedStatus(
  bs: BlockDriverState,
  ret: number,
  wantZero: boolean,
  offset: number,
): number {
  if ((ret & (BDRV_BLOCK_DATA | BDRV_BLOCK_ZERO)) !== 0) return BDRV_BLOCK_ALLOCATED;
  if (bs.drv.supportsBacking !== true) return 0;
  const cow = bdrvCowChild(bs);
  const cowBs = cow === null ? null : edgeBs(cow, SITE_STATUS);
  if (cowBs === null) return BDRV_BLOCK_ZERO;
  if (!wantZero) return 0;
  const length = bdrvGetlength(cowBs);
  return length >= 0 && offset >= length ? BDRV_BLOCK_ZERO : 0;
}

/** A format whose data may be a hole in its file asks there, too; errors are ignored, as the answer is right without. */
function recurseForZeroes(
  bs: BlockDriverState,
  wantZero: boolean,
  status: BlockStatus,
): Co<BlockStatus> {
  const { ret, pnum, map, file } = status;
  const wanted = BDRV_BLOCK_RECURSE | BDRV_BLOCK_DATA | BDRV_BLOCK_OFFSET_VALID;
  if (!wantZero || (ret & wanted) !== wanted || (ret & BDRV_BLOCK_ZERO) !== 0)
    return settled(status);
  if (file === null || file === bs) return settled(status);
  return coThen(bdrvCoBlockStatus(file, { wantZero, offset: map, bytes: pnum }), (below) => {
    if (below.ret < 0) return status;
    const isZero = (below.ret & BDRV_BLOCK_ZERO) !== 0;
    // A format may read behind the end of its file, where zeroes are.
    if ((below.ret & BDRV_BLOCK_EOF) !== 0 && (below.pnum === 0 || isZero))
      return { ...status, ret: ret | BDRV_BLOCK_ZERO };
    return { ...status, pnum: below.pnum, ret: isZero ? ret | BDRV_BLOCK_ZERO : ret };
  });
}

function nothing(ret: number): BlockStatus {
  return { ret, pnum: 0, map: 0, file: null };
}
