// BlockBackend: what a guest device, an export or a job holds to do I/O at a graph, and the root edge's parent. State only.
//
// Its root edge is one of the shared fields that this project watches (`rawRoot`): only root.ts touches it. The gate
// (gate.ts) is `quiescedFor` and `queuedRequests`: while a drain of the root lasts, new requests wait there.

import type { BlkId, SectionId } from "../base/index.ts";
import { BLK_PERM_ALL } from "../graph/permission-bits.ts";
import type { BdrvChild } from "../graph/state.ts";
import { type AioContext, CoQueue, perMachine } from "../sched/index.ts";

/** Callbacks of whoever uses a BlockBackend (C: BlockDevOps). None of them polls. */
export interface BlockDevOps {
  /** The first level of a drain has begun: send no more requests. */
  readonly drainedBegin?: () => undefined;
  /** Whether the user still has requests that the BlockBackend does not count. */
  readonly drainedPoll?: () => boolean;
  /** The last level has ended. */
  readonly drainedEnd?: () => undefined;
  /** The node below changed its size. Runs in the context of the request that did it. */
  readonly resizeCb?: () => undefined;
}

/** How a BlockBackend is made. */
export interface BlkOptions {
  readonly name?: string;
  /** What its user needs of the node, and lets the node's other parents have: BLK_PERM_*, default all and all. */
  readonly perm?: number;
  readonly sharedPerm?: number;
  /** Writes behind the end make the image longer. */
  readonly allowWriteBeyondEof?: boolean;
  /** The root node may take it along to another AioContext. */
  readonly allowAioContextChange?: boolean;
  /** Off: every write is followed by a flush. */
  readonly enableWriteCache?: boolean;
  /** As in QEMU 7.2: a queued request that was woken does not look at the gate again. For scenarios. */
  readonly waitsOnce?: boolean;
}

/** C: BlockBackend. */
export class BlockBackend {
  readonly id: BlkId;
  readonly name: string;
  /** The root edge; null while no node is inserted. Written in the main context, read by every request. */
  rawRoot: BdrvChild | null = null;
  /** Where its requests run. Changed in the main context. */
  ctx: AioContext;
  refcnt = 1;
  devOps: BlockDevOps | null = null;
  allowWriteBeyondEof: boolean;
  allowAioContextChange: boolean;
  enableWriteCache: boolean;
  /** Set by jobs on their own BlockBackends and by exports: requests pass the gate although it is closed. */
  disableRequestQueuing = false;
  readonly waitsOnce: boolean;
  /** What its root edge has, or will have once a node is inserted. Written by blk_set_perm. */
  perm: number;
  sharedPerm: number;
  /** Requests in flight, queued ones left out. */
  inFlight = 0;
  /** C: quiesce_counter; one entry a level: on whose behalf. */
  readonly quiescedFor: SectionId[] = [];
  /** Requests that wait for the gate. */
  readonly queuedRequests = new CoQueue();

  constructor(id: BlkId, ctx: AioContext, options: BlkOptions) {
    this.id = id;
    this.name = options.name ?? "";
    this.ctx = ctx;
    this.allowWriteBeyondEof = options.allowWriteBeyondEof ?? false;
    this.allowAioContextChange = options.allowAioContextChange ?? false;
    this.enableWriteCache = options.enableWriteCache ?? true;
    this.perm = options.perm ?? BLK_PERM_ALL;
    this.sharedPerm = options.sharedPerm ?? BLK_PERM_ALL;
    this.waitsOnce = options.waitsOnce ?? false;
  }

  /** C: quiesce_counter. */
  get quiesceCounter(): number {
    return this.quiescedFor.length;
  }
}

/** All BlockBackends of the running machine, oldest first (C: block_backends). Written in the main context by life.ts. */
export const blockBackends = perMachine((): BlockBackend[] => []);

/** blk_all_next: every BlockBackend that exists, as a list that later edits do not change. */
export function blkAll(): readonly BlockBackend[] {
  return blockBackends().slice();
}
