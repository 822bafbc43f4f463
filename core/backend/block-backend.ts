// BlockBackend: what a guest device, an export or a job holds to do I/O at a graph, and the root edge's parent. State only.
//
// Its root edge is one of the shared fields that this project watches (`rawRoot`): only root.ts touches it. The gate
// (gate.ts) is `quiescedFor` and `queuedRequests`: while a drain of the root lasts, new requests wait there.

import type { BlkId, SectionId } from "../base/index.ts";
import { BLK_PERM_ALL } from "../graph/permission-bits.ts";
import type { BdrvChild } from "../graph/state.ts";
import { Owner, site } from "../probe/index.ts";
import { type AioContext, CoQueue, globalStateCode, perMachine } from "../sched/index.ts";
import { ThrottleGroupMember } from "../throttle/index.ts";

const SITE_ALL_NEXT = site("blk_all_next");

/** A guest's device (C: DeviceState), as far as a BlockBackend knows it: its id, or its path where it has none. */
export interface DeviceState {
  readonly id: string;
}

/** What to do when a request of a guest fails (QAPI: BlockdevOnError). A device resolves "auto" before it does I/O. */
export type BlockdevOnError = "report" | "ignore" | "enospc" | "stop" | "auto";

/** Whether the requests of a device worked so far (QAPI: BlockDeviceIoStatus). */
export type BlockDeviceIoStatus = "ok" | "failed" | "nospace";

/** Told that a node is about to go, or has come. Does not poll. */
export type BlkNotifier = (blk: BlockBackend) => undefined;

/** Callbacks of whoever uses a BlockBackend (C: BlockDevOps). None of them polls. */
export interface BlockDevOps {
  /** A medium was loaded, which can be refused with a BlockError, or ejected, which cannot. There is one: it is removable. */
  readonly changeMediaCb?: (load: boolean) => undefined;
  /** The medium is wanted back; with `force` it goes in any case. */
  readonly ejectRequestCb?: (force: boolean) => undefined;
  readonly isTrayOpen?: () => boolean;
  readonly isMediumLocked?: () => boolean;
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
  /** How users call it, "" while they do not know it. */
  name: string;
  /** The root edge; null while no node is inserted. Written in the main context, read by every request. */
  rawRoot: BdrvChild | null = null;
  /** Where its requests run. Changed in the main context. */
  ctx: AioContext;
  refcnt = 1;
  /** The device that uses it, and its callbacks; jobs and exports have callbacks alone. Written by device.ts. */
  dev: DeviceState | null = null;
  devOps: BlockDevOps | null = null;
  /** Policy and result of failing requests. Written by on-error.ts. */
  onReadError: BlockdevOnError = "report";
  onWriteError: BlockdevOnError = "enospc";
  iostatusEnabled = false;
  iostatus: BlockDeviceIoStatus = "ok";
  allowWriteBeyondEof: boolean;
  allowAioContextChange: boolean;
  enableWriteCache: boolean;
  /** Set by jobs on their own BlockBackends and by exports: requests pass the gate although it is closed. */
  disableRequestQueuing = false;
  readonly waitsOnce: boolean;
  /** What its root edge has, or will have once a node is inserted. Written by blk_set_perm. */
  perm: number;
  sharedPerm: number;
  /** The root edge has no permissions, whatever `perm` says: the image was handed over, or is not here yet. */
  disablePerm = false;
  /** The image may be handed over although this one writes. */
  forceAllowInactivate = false;
  /** Told by blk_remove_bs before, by blk_insert_bs afterwards. */
  readonly removeBsNotifiers: BlkNotifier[] = [];
  readonly insertBsNotifiers: BlkNotifier[] = [];
  /** Its I/O limits; in a group only while there are some. */
  readonly throttleGroupMember: ThrottleGroupMember;
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
    this.throttleGroupMember = new ThrottleGroupMember({ kind: Owner.blk, id });
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
  globalStateCode(SITE_ALL_NEXT);
  return blockBackends().slice();
}
