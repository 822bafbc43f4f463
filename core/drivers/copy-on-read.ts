// `copy-on-read`: a filter whose reads write what they find in backing files into the image below it; down to `bottom`, if there is
// one: what comes from below that node is read and not copied. The links down to it are frozen while the filter is there.

import { assert, EINVAL, type SiteId } from "../base/index.ts";
import { fileOf } from "../graph/access.ts";
import { BlockError } from "../graph/block-error.ts";
import { bdrvBackingChainNext, bdrvChainContains, bdrvSkipFilters } from "../graph/chain.ts";
import { BDRV_BLOCK_ALLOCATED } from "../graph/driver-results.ts";
import { bdrvFreezeBackingChain, bdrvUnfreezeBackingChain } from "../graph/freeze.ts";
import { bdrvFindNode } from "../graph/node-life.ts";
import { bdrvOpenDriver } from "../graph/open-node.ts";
import {
  BLK_PERM_ALL,
  BLK_PERM_CONSISTENT_READ,
  BLK_PERM_RESIZE,
  BLK_PERM_WRITE,
  BLK_PERM_WRITE_UNCHANGED,
  type Permissions,
} from "../graph/permission-bits.ts";
import {
  BDRV_CHILD_FILTERED,
  BDRV_CHILD_PRIMARY,
  BDRV_REQ_COPY_ON_READ,
  BDRV_REQ_WRITE_COMPRESSED,
  type BdrvChild,
  type BlockDriver,
  type BlockDriverState,
  type Qiov,
  type WritableAfterReopen,
} from "../graph/state.ts";
import { bdrvCoCommonBlockStatusAbove } from "../io/block-status.ts";
import { bdrvCoIsAllocated } from "../io/copy-on-read.ts";
import { qiovAfter } from "../io/guest-copy.ts";
import { nodeBehind } from "../io/inserted.ts";
import { bdrvCoPreadv } from "../io/read.ts";
import { bdrvCoPwritev } from "../io/write.ts";
import { site } from "../probe/index.ts";
import { type Co, globalStateCode, modelAssert, type Polls } from "../sched/index.ts";
import { driverRef, driverUnref } from "./driver-references.ts";
import { passThrough, withoutReopen } from "./filter.ts";

const SITE_OPEN = site("cor_open");
const SITE_READ = site("cor_co_preadv_part");
const SITE_COMPRESSED = site("cor_co_pwritev_compressed");

const PASSED = BLK_PERM_CONSISTENT_READ | BLK_PERM_WRITE | BLK_PERM_RESIZE;

/** C: BDRVStateCOR. */
class CorState {
  /** Holds a reference; null for none. */
  bottom: BlockDriverState | null = null;
}

/** C: bdrv_copy_on_read. */
export const copyOnReadDriver: BlockDriver = {
  formatName: "copy-on-read",
  ...withoutReopen(passThrough(fileOf)),
  childPerm: corChildPerm,
  drvClose: corClose,
  coPreadv: corCoPreadv,
  coPwritevCompressed: (bs, offset, bytes, qiov) =>
    bdrvCoPwritev(file(bs, SITE_COMPRESSED), offset, bytes, qiov, BDRV_REQ_WRITE_COMPRESSED),
};

/** cor_open (block/copy-on-read.c:37): above `fileBs`, whose reference it takes over. BlockError. Polls. */
export function* copyOnReadOpen(
  nodeName: string,
  fileBs: BlockDriverState,
  bottomName: string | null = null,
): Polls<BlockDriverState> {
  globalStateCode(SITE_OPEN);
  assert(!fileBs.closed, "the file is open");
  const state = new CorState();
  return yield* bdrvOpenDriver(copyOnReadDriver, nodeName, {
    opaque: state,
    children: [{ name: "file", role: BDRV_CHILD_FILTERED | BDRV_CHILD_PRIMARY, bs: fileBs }],
    requestAlignment: fileBs.requestAlignment,
    *drvOpen(bs): Polls<void> {
      if (bottomName !== null) state.bottom = freezeDownTo(bs, bottomName);
    },
  });
}

function freezeDownTo(bs: BlockDriverState, name: string): BlockDriverState {
  const bottom = name === "" ? null : bdrvFindNode(name);
  if (bottom === null) throw new BlockError(EINVAL, `Bottom node '${name}' not found`);
  if (bottom.drv.isFilter) throw new BlockError(EINVAL, `Bottom node '${name}' is a filter`);
  // Differs from QEMU, which never comes back from the search for it.
  if (!bdrvChainContains(bs, bottom))
    throw new BlockError(EINVAL, `Bottom node '${name}' is not below the node that is filtered`);
  bdrvFreezeBackingChain(bs, bottom);
  driverRef(bottom);
  return bottom;
}

/** cor_close (block/copy-on-read.c:231). Polls. */
function* corClose(bs: BlockDriverState): Polls<void> {
  const state = stateOf(bs);
  const { bottom } = state;
  if (bottom === null) return;
  state.bottom = null;
  bdrvUnfreezeBackingChain(bs, bottom);
  yield* driverUnref(bottom);
}

/** cor_child_perm (block/copy-on-read.c:96): to write what is there already; not where nobody may write. */
function corChildPerm(
  bs: BlockDriverState,
  _child: BdrvChild | null,
  _role: number,
  _reopen: WritableAfterReopen | null,
  parent: Permissions,
): Permissions {
  const copying = bs.inactive ? 0 : BLK_PERM_WRITE_UNCHANGED;
  return {
    perm: (parent.perm & PASSED) | copying,
    sharedPerm: (parent.sharedPerm & PASSED) | (BLK_PERM_ALL & ~PASSED),
  };
}

function* corCoPreadv(
  bs: BlockDriverState,
  offset: number,
  bytes: number,
  qiov: Qiov,
  flags: number,
): Co<number> {
  const { bottom } = stateOf(bs);
  const child = file(bs, SITE_READ);
  const copying = flags | BDRV_REQ_COPY_ON_READ;
  if (bottom === null) return yield* bdrvCoPreadv(child, offset, bytes, qiov, copying);
  for (let done = 0; done < bytes; ) {
    const image = nodeBehind(child, SITE_READ);
    const [at, left, into] = [offset + done, bytes - done, qiovAfter(qiov, done)];
    const own = yield* bdrvCoIsAllocated(image, at, left);
    let { pnum } = own;
    let piece = flags;
    if (own.ret <= 0) {
      const below = yield* allocatedBelow(image, bottom, at, own.ret < 0 ? left : pnum);
      // After an error it is tried anyway.
      if (below.ret !== 0) piece = copying;
      pnum = below.pnum;
      // The end of a backing file.
      if (pnum === 0) break;
    }
    const ret = yield* bdrvCoPreadv(child, at, pnum, into, piece);
    if (ret < 0) return ret;
    done += pnum;
  }
  return 0;
}

/**
 * bdrv_is_allocated_above, between the image and `bottom`, both ends of the chain of backing files included. Differs from QEMU: the image
 * may be the bottom itself, and then there is nothing between; QEMU goes on to the end of the chain, and ends at an assertion.
 */
function* allocatedBelow(
  image: BlockDriverState,
  bottom: BlockDriverState,
  offset: number,
  bytes: number,
): Co<{ readonly ret: number; readonly pnum: number }> {
  const next = bdrvSkipFilters(image) === bottom ? null : bdrvBackingChainNext(image);
  if (next === null) return { ret: 0, pnum: bytes };
  const range = { wantZero: false, offset, bytes };
  const base = { base: bottom, includeBase: true };
  const { ret, pnum } = yield* bdrvCoCommonBlockStatusAbove(next, base, range);
  return { ret: ret < 0 ? ret : ret & BDRV_BLOCK_ALLOCATED, pnum };
}

function file(bs: BlockDriverState, siteId: SiteId): BdrvChild {
  const child = fileOf(bs, siteId);
  modelAssert(child !== null, "bs->file", siteId);
  return child;
}

function stateOf(bs: BlockDriverState): CorState {
  assert(bs.opaque instanceof CorState, "the node copies on read");
  return bs.opaque;
}
