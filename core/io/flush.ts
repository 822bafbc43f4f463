// Flushing a node and everything below it that writes.
//
// One flush at a time works on a node; later ones wait in its `flushQueue`. A generation number counts writes, so that a flush
// with nothing new to write does not go to the disk again. The walk of `children` sleeps inside: this is QEMU's plain loop, so
// an edge that is removed meanwhile is still followed (reference, section 1.4, non-SAFE iteration hazards).

import { assert } from "../base/index.ts";
import { childrenOf } from "../graph/access.ts";
import { bdrvPrimaryChild } from "../graph/chain.ts";
import { BLK_PERM_ANY_WRITE } from "../graph/permission-bits.ts";
import type { BdrvChild, BlockDriverState } from "../graph/state.ts";
import { Ev, List, Request, site } from "../probe/index.ts";
import {
  type Co,
  ioCode,
  machine,
  qemuCoMutexLock,
  qemuCoMutexUnlock,
  qemuCoQueueNext,
  qemuCoQueueWait,
} from "../sched/index.ts";
import { blkdbgEvent } from "./debug-event.ts";
import { bdrvIsInserted, nodeBehind } from "./inserted.ts";
import { requestBegin, requestEnd } from "./request.ts";

const SITE_CHILDREN = site("bdrv_co_flush");

/** bdrv_co_flush (io.c:2931): 0, or the negated errno of the first that failed. */
export function* bdrvCoFlush(bs: BlockDriverState): Co<number> {
  ioCode(bs.aioContext, SITE_CHILDREN);
  assert(bs.id > 0, "a node has a number");
  // C reads it for its debug events, before the counter is raised.
  const primary = bdrvPrimaryChild(bs);
  const outermost = requestBegin(bs, Request.flush, 0, 0);
  let ret = 0;
  if (bdrvIsInserted(bs) && !bs.readOnly) ret = yield* flushInserted(bs, primary);
  requestEnd(bs, Request.flush, ret, outermost);
  return ret;
}

function* flushInserted(bs: BlockDriverState, primary: BdrvChild | null): Co<number> {
  yield* qemuCoMutexLock(bs.reqsLock);
  const currentGen = bs.writeGen;
  while (bs.activeFlushReq) yield* qemuCoQueueWait(bs.flushQueue, bs.reqsLock);
  bs.activeFlushReq = true;
  qemuCoMutexUnlock(bs.reqsLock);

  const ret = yield* flushAll(bs, currentGen, primary);
  if (ret === 0) bs.flushedGen = currentGen;

  yield* qemuCoMutexLock(bs.reqsLock);
  assert(bs.activeFlushReq, "one flush at a time is active");
  bs.activeFlushReq = false;
  qemuCoQueueNext(bs.flushQueue);
  qemuCoMutexUnlock(bs.reqsLock);
  return ret;
}

function* flushAll(
  bs: BlockDriverState,
  currentGen: number,
  primary: BdrvChild | null,
): Co<number> {
  if (bs.drv.coFlush !== undefined) return yield* bs.drv.coFlush(bs);
  const ret = yield* flushDriver(bs, currentGen, primary);
  return ret < 0 ? ret : yield* flushChildren(bs);
}

/** First to the operating system, then, if anything was written since the last time and the node has not `cache.no-flush`, to the disk. */
function* flushDriver(
  bs: BlockDriverState,
  currentGen: number,
  primary: BdrvChild | null,
): Co<number> {
  const { drv } = bs;
  if (primary !== null) yield* blkdbgEvent(primary, "flush_to_os");
  if (drv.coFlushToOs !== undefined) {
    const ret = yield* drv.coFlushToOs(bs);
    if (ret < 0) return ret;
  }
  if (bs.noFlush || bs.flushedGen === currentGen) return 0;
  if (primary !== null) yield* blkdbgEvent(primary, "flush_to_disk");
  if (drv.coFlushToDisk === undefined) return 0;
  return yield* drv.coFlushToDisk(bs);
}

function* flushChildren(bs: BlockDriverState): Co<number> {
  let ret = 0;
  const children = childrenOf(bs, SITE_CHILDREN);
  machine.probe.emit(Ev.iter_begin, List.children, bs.id, SITE_CHILDREN);
  for (let child = children.first; child !== null; child = children.next(child)) {
    if ((child.perm & BLK_PERM_ANY_WRITE) === 0) continue;
    const childRet = yield* bdrvCoFlush(nodeBehind(child, SITE_CHILDREN));
    if (ret === 0) ret = childRet;
  }
  machine.probe.emit(Ev.iter_end, List.children, bs.id, SITE_CHILDREN);
  return ret;
}
