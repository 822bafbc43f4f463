// An image that moves between machines: handed over, it is inactive, and nothing here writes to it or relies on what it holds;
// activated again, everything that is cached of it is forgotten.
//
//   inactivate: parents before children     activate: children before parents
//
// These loops walk `children` and `parents` and poll inside (permissions, the driver), as QEMU's do; only main edits the lists,
// and main is in here.

import { assert, EINVAL, ENOMEDIUM, EPERM } from "../base/index.ts";
import { bdrvDirtyBitmapSkipStore } from "../bitmaps/flags.ts";
import { refreshTotalSectors } from "../io/index.ts";
import { site } from "../probe/index.ts";
import {
  type AioContext,
  aioContextAcquire,
  aioContextRelease,
  type Co,
  globalStateCode,
  ioCode,
  modelAssert,
  type Polls,
  runInCoroutine,
} from "../sched/index.ts";
import { childrenOf, edgeBs, parentsOf } from "./access.ts";
import { bdrvAllStates } from "./all-states.ts";
import { BlockError, settle, unwrap } from "./block-error.ts";
import { everyEdge } from "./every-edge.ts";
import { BLK_PERM_ANY_WRITE } from "./permission-bits.ts";
import { bdrvGetCumulativePerm, bdrvRefreshPerms } from "./permissions.ts";
import { type BdrvChild, BlockDriverState } from "./state.ts";

const SITE_ACTIVATE = site("bdrv_activate");
const SITE_ACTIVATE_ALL = site("bdrv_activate_all");
const SITE_INVALIDATE = site("bdrv_invalidate_cache");
const SITE_CO_INVALIDATE = site("bdrv_co_invalidate_cache");
const SITE_INACTIVATE = site("bdrv_inactivate_recurse");
const SITE_INACTIVATE_ALL = site("bdrv_inactivate_all");
const SITE_BDS_PARENT = site("bdrv_has_bds_parent");

/**
 * bdrv_activate (block.c:6511): `bs`, all below it and its parents may use the image again. -ENOMEDIUM for a closed node, else
 * 0; BlockError when a permission is refused or the driver cannot: the node is inactive then. Polls.
 */
export function* bdrvActivate(bs: BlockDriverState): Polls<number> {
  globalStateCode(SITE_ACTIVATE);
  if (bs.closed) return -ENOMEDIUM;
  yield* everyEdge(bs, childrenOf(bs, SITE_ACTIVATE), SITE_ACTIVATE, function* (edge): Polls<void> {
    yield* bdrvActivate(nodeBelow(edge));
  });
  if (bs.inactive) yield* activateNode(bs);
  yield* everyEdge(bs, parentsOf(bs, SITE_ACTIVATE), SITE_ACTIVATE, (edge) =>
    activateParent(bs, edge),
  );
  assert(!bs.inactive, "the node is active");
  return 0;
}

/** More permissions first: an inactive node needs a part of what it needs when it is active. */
function* activateNode(bs: BlockDriverState): Polls<void> {
  bs.inactive = false;
  for (const bitmap of bs.dirtyBitmaps) bdrvDirtyBitmapSkipStore(bitmap, false);
  const done = yield* settle(function* (): Polls<void> {
    yield* bdrvRefreshPerms(bs, null);
    const ret = yield* bdrvInvalidateCache(bs);
    if (ret < 0) throw new BlockError(EINVAL, `Could not refresh '${bs.nodeName}'`);
    const length = refreshTotalSectors(bs);
    if (length < 0) throw new BlockError(-length, "Could not refresh total sector count");
  });
  if (!done.ok) bs.inactive = true;
  unwrap(done);
}

function* activateParent(bs: BlockDriverState, edge: BdrvChild): Polls<void> {
  const { activate } = edge.klass;
  if (activate === undefined) return;
  const done = yield* settle(function* (): Polls<void> {
    const polls = activate(edge);
    if (polls !== undefined) yield* polls;
  });
  if (!done.ok) bs.inactive = true;
  unwrap(done);
}

/** bdrv_activate_all (block.c:6603). BlockError for the first node that cannot; it and later ones stay inactive. Polls. */
export function* bdrvActivateAll(): Polls<void> {
  globalStateCode(SITE_ACTIVATE_ALL);
  const all = bdrvAllStates();
  for (const bs of all) {
    const ctx = bs.aioContext;
    yield* aioContextAcquire(ctx);
    const done = yield* settle(() => bdrvActivate(bs));
    aioContextRelease(ctx);
    unwrap(done);
  }
  assert(
    all.every((bs) => bs.closed || !bs.inactive),
    "all nodes are active",
  );
}

/** bdrv_invalidate_cache: as bdrvCoInvalidateCache. Polls. */
export function* bdrvInvalidateCache(bs: BlockDriverState): Polls<number> {
  globalStateCode(SITE_INVALIDATE);
  assert(!bs.closed, "the node has a driver");
  return yield* runInCoroutine(bs.aioContext, () => bdrvCoInvalidateCache(bs), SITE_INVALIDATE);
}

/** bdrv_co_invalidate_cache (block.c:6585): forget what is cached of the image. 0 or a negated errno. */
export function* bdrvCoInvalidateCache(bs: BlockDriverState): Co<number> {
  ioCode(bs.aioContext, SITE_CO_INVALIDATE);
  modelAssert(!bs.inactive, "!(bs->open_flags & BDRV_O_INACTIVE)", SITE_CO_INVALIDATE);
  assert(!bs.closed, "the node has a driver");
  if (bs.drv.coInvalidateCache === undefined) return 0;
  return yield* bs.drv.coInvalidateCache(bs);
}

/**
 * bdrv_inactivate_all (block.c:6705): hand all images over. BlockError when somebody must go on writing, or a driver cannot
 * write what it still has; then some nodes may be inactive already, and bdrvActivateAll takes them back. Polls. Differs from
 * QEMU: it starts at every node without a node above it, not only at those with a BlockBackend or a monitor's reference.
 */
export function* bdrvInactivateAll(): Polls<void> {
  globalStateCode(SITE_INACTIVATE_ALL);
  const all = bdrvAllStates();
  const contexts = new Set<AioContext>(all.map((bs) => bs.aioContext));
  for (const ctx of contexts) yield* aioContextAcquire(ctx);
  const done = yield* settle(function* (): Polls<void> {
    for (const bs of all) if (!bdrvHasBdsParent(bs, false)) yield* bdrvInactivateRecurse(bs);
  });
  for (const ctx of contexts) aioContextRelease(ctx);
  assert(!done.ok || all.every((bs) => bs.inactive), "all nodes are inactive");
  unwrap(done);
}

/** bdrv_inactivate_recurse (block.c:6641): nothing for a node that is still used by one above it. Polls. */
function* bdrvInactivateRecurse(bs: BlockDriverState): Polls<void> {
  globalStateCode(SITE_INACTIVATE);
  if (bs.closed) throw new BlockError(ENOMEDIUM, `Node '${bs.nodeName}' is closed`);
  // The last active parent comes back here.
  if (bdrvHasBdsParent(bs, true)) return;
  modelAssert(!bs.inactive, "!(bs->open_flags & BDRV_O_INACTIVE)", SITE_INACTIVATE);
  const ret = bs.drv.inactivate === undefined ? 0 : yield* bs.drv.inactivate(bs);
  if (ret < 0) throw new BlockError(-ret, `Could not inactivate '${bs.nodeName}'`);
  yield* everyEdge(
    bs,
    parentsOf(bs, SITE_INACTIVATE),
    SITE_INACTIVATE,
    function* (edge): Polls<void> {
      const polls = edge.klass.inactivate?.(edge);
      if (polls !== undefined) yield* polls;
    },
  );
  if ((bdrvGetCumulativePerm(bs).perm & BLK_PERM_ANY_WRITE) !== 0)
    throw new BlockError(EPERM, `The parents of '${bs.nodeName}' still need write access`);
  bs.inactive = true;
  // Restrictions are only loosened: what is refused changes nothing.
  yield* settle(() => bdrvRefreshPerms(bs, null));
  yield* everyEdge(bs, childrenOf(bs, SITE_INACTIVATE), SITE_INACTIVATE, (edge) =>
    bdrvInactivateRecurse(nodeBelow(edge)),
  );
}

/** bdrv_has_bds_parent (block.c:6624): whether a node, or an active one, is above `bs`. */
function bdrvHasBdsParent(bs: BlockDriverState, onlyActive: boolean): boolean {
  globalStateCode(SITE_BDS_PARENT);
  const parents = parentsOf(bs, SITE_BDS_PARENT);
  for (let edge = parents.first; edge !== null; edge = parents.next(edge)) {
    if (!edge.klass.parentIsBds) continue;
    const parent = edge.opaque;
    assert(parent instanceof BlockDriverState, "the parent of this edge is a node");
    if (!onlyActive || !parent.inactive) return true;
  }
  return false;
}

function nodeBelow(edge: BdrvChild): BlockDriverState {
  const bs = edgeBs(edge, SITE_ACTIVATE);
  assert(bs !== null, "an edge in a list points at a node");
  return bs;
}
