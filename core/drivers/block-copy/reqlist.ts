// Ranges that are being worked on, and waiting for them (C: block/reqlist.c).

import { assert } from "../../base/index.ts";
import {
  type Co,
  type CoMutex,
  CoQueue,
  qemuCoQueueRestartAll,
  qemuCoQueueWait,
} from "../../sched/index.ts";

/** C: BlockReq. */
export class BlockReq {
  readonly offset: number;
  bytes: number;
  readonly waitQueue = new CoQueue();

  constructor(offset: number, bytes: number) {
    this.offset = offset;
    this.bytes = bytes;
  }
}

/** C: BlockReqList. Whoever uses one has a lock for it. */
export class BlockReqList {
  readonly reqs = new Set<BlockReq>();
}

/**
 * reqlist_init_req: a range is being worked on. Differs from QEMU 7.2: it may overlap with another one; there, two readers of the
 * same range of a snapshot end the process. Common.
 */
export function reqlistInitReq(list: BlockReqList, offset: number, bytes: number): BlockReq {
  assert(bytes > 0, "a range has bytes");
  const req = new BlockReq(offset, bytes);
  list.reqs.add(req);
  return req;
}

/** reqlist_find_conflict: a range of the list that overlaps, or null. Common. */
export function reqlistFindConflict(
  list: BlockReqList,
  offset: number,
  bytes: number,
): BlockReq | null {
  for (const req of list.reqs)
    if (offset < req.offset + req.bytes && req.offset < offset + bytes) return req;
  return null;
}

/** reqlist_wait_one: wait for one that overlaps, without `lock`; false, and the lock was never given up, when there is none. Common. */
export function* reqlistWaitOne(
  list: BlockReqList,
  offset: number,
  bytes: number,
  lock: CoMutex,
): Co<boolean> {
  const req = reqlistFindConflict(list, offset, bytes);
  if (req === null) return false;
  yield* qemuCoQueueWait(req.waitQueue, lock);
  return true;
}

/** reqlist_wait_all: until none overlaps. Common. */
export function* reqlistWaitAll(
  list: BlockReqList,
  offset: number,
  bytes: number,
  lock: CoMutex,
): Co<void> {
  while (yield* reqlistWaitOne(list, offset, bytes, lock));
}

/** reqlist_shrink_req: the end of the range is given up. Common. */
export function reqlistShrinkReq(req: BlockReq, bytes: number): void {
  assert(bytes > 0 && bytes < req.bytes, "a range shrinks, and something is left");
  req.bytes = bytes;
  qemuCoQueueRestartAll(req.waitQueue);
}

/** reqlist_remove_req: the work is done. Common. */
export function reqlistRemoveReq(list: BlockReqList, req: BlockReq): void {
  const wasThere = list.reqs.delete(req);
  assert(wasThere, "work is done once");
  qemuCoQueueRestartAll(req.waitQueue);
}
