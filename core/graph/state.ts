// The state of the graph: nodes, edges, the lists that join them, and the table of behaviour of an edge; that of a node is in
// block-driver.ts.
//
// State only, no behaviour (docs/ARCHITECTURE.md): the algorithms are free functions in the files named after them. The
// fields called `raw…` are the shared ones that this project watches: only access.ts (reads, with their event), edge-lists.ts
// (edits, with their event) and invariant checks touch them; all other code goes through those two files.

import { assert, type EdgeId, type NodeId, type SectionId, type TaskId } from "../base/index.ts";
import type { BdrvDirtyBitmap } from "../bitmaps/state.ts";
import type {
  AioContext,
  CoMutex,
  CoQueue,
  Coroutine,
  GuestBuffer,
  Polls,
  QemuMutex,
} from "../sched/index.ts";
import type { BlockDriver } from "./block-driver.ts";
import { type BlockLimits, NO_LIMITS } from "./block-limits.ts";
import type { BlockOptions, DetectZeroes } from "./block-options.ts";
import type { BackingBlocker, BlockOpType, OpBlockReason } from "./op-blockers.ts";
import { BLK_PERM_ALL } from "./permission-bits.ts";
import type { Transaction } from "./transaction.ts";

export type { BlockDriver, ChildPerm, CopyRange, DriverBreakpoints } from "./block-driver.ts";

/** Role bits of an edge (C: BdrvChildRoleBits). */
export const BDRV_CHILD_DATA = 1;
export const BDRV_CHILD_METADATA = 2;
export const BDRV_CHILD_FILTERED = 4;
export const BDRV_CHILD_COW = 8;
export const BDRV_CHILD_PRIMARY = 16;
export const BDRV_CHILD_IMAGE = BDRV_CHILD_DATA | BDRV_CHILD_METADATA | BDRV_CHILD_PRIMARY;

/** Flags of a request (C: BdrvRequestFlags). */
export const BDRV_REQ_COPY_ON_READ = 0x1;
export const BDRV_REQ_FUA = 0x10;
export const BDRV_REQ_MAY_UNMAP = 0x4;
export const BDRV_REQ_WRITE_COMPRESSED = 0x20;
/** Zeroes that would have to be written like any data are refused with ENOTSUP. */
export const BDRV_REQ_NO_FALLBACK = 0x100;
/** The request excludes all others that overlap with it. */
export const BDRV_REQ_SERIALISING = 0x80;
/** With SERIALISING: fail with EBUSY where it would wait. */
export const BDRV_REQ_NO_WAIT = 0x400;

/** The write does not change what is visible (copy-on-read); WRITE_UNCHANGED is permission enough. */
export const BDRV_REQ_WRITE_UNCHANGED = 0x40;

/** Nodes that are being reopened, and whether each will be writable then (C: what permissions ask a BlockReopenQueue). */
export type WritableAfterReopen = ReadonlyMap<BlockDriverState, boolean>;

/** What a request moves: `bytes` of `buffer` from `start` on (C: QEMUIOVector with one element). */
export interface Qiov {
  readonly buffer: GuestBuffer;
  readonly start: number;
}

/** The class of an edge, by what its parent is (C: BdrvChildClass). The drained callbacks neither poll nor edit the graph. */
export interface BdrvChildClass {
  readonly name: "child_of_bds" | "child_root" | "child_job";
  /** The catalogue's number of this class (`Klass`). */
  readonly klass: number;
  /** bdrv_replace_node leaves such an edge where it is. */
  readonly stayAtNode: boolean;
  readonly parentIsBds: boolean;
  readonly getParentDesc: (child: BdrvChild) => string;
  /** The name by which users know the parent, "" for none; missing where parents have none but a node-name. */
  readonly getName?: (child: BdrvChild) => string;
  /** May poll (it applies the parent's subtree drain to the child). `place` is where a rollback puts the edge. */
  readonly attach?: (child: BdrvChild, place: EdgePlace | null) => Polls<void>;
  readonly detach?: (child: BdrvChild) => Polls<void>;
  readonly getParentAioContext: (child: BdrvChild) => AioContext;
  /**
   * The parent follows its child into `ctx` when `tran` is committed; throws a BlockError when it cannot. `visited` holds the
   * edges that need no look any more. May poll: a node drains itself first. Missing: such a parent never moves.
   */
  readonly changeAioContext?: (
    child: BdrvChild,
    ctx: AioContext,
    visited: Set<BdrvChild>,
    tran: Transaction,
  ) => undefined | Polls<void>;
  readonly resize?: (child: BdrvChild) => void;
  /** The node below is a medium that was loaded, or is about to go (bdrv_parent_cb_change_media). */
  readonly changeMedia?: (child: BdrvChild, load: boolean) => undefined;
  /** The node becomes usable here again, or is handed over, and the parent with it; a BlockError refuses. May poll. */
  readonly activate?: (child: BdrvChild) => undefined | Polls<void>;
  readonly inactivate?: (child: BdrvChild) => undefined | Polls<void>;
  /**
   * The node below is now `base`, called `filename` (bdrv_drop_intermediate): write that down. BlockError when it cannot be.
   * May poll.
   */
  readonly updateFilename?: (
    child: BdrvChild,
    base: BlockDriverState,
    filename: string,
  ) => undefined | Polls<void>;
  readonly drainedBegin?: (child: BdrvChild, section: SectionId) => undefined;
  readonly drainedPoll?: (child: BdrvChild, section: SectionId) => boolean;
  readonly drainedEnd?: (
    child: BdrvChild,
    section: SectionId,
    drainedEndCounter: DrainedEndCounter,
  ) => undefined;
}

/** What every parent of an edge has (node, BlockBackend, job): on whose behalf it is quiesced, one entry a level. */
export interface EdgeParent {
  readonly quiescedFor: SectionId[];
}

/** How many driver end hooks a drained_end still waits for (C: drained_end_counter). */
export interface DrainedEndCounter {
  pending: number;
}

/** An edge: `rawBs` seen from a parent (C: BdrvChild). */
export class BdrvChild {
  readonly id: EdgeId;
  readonly name: string;
  readonly klass: BdrvChildClass;
  readonly role: number;
  /** The parent: a BlockDriverState, BlockBackend or Job, as `klass` says; always an EdgeParent. */
  readonly opaque: unknown;
  /** Number of the parent among its kind. */
  readonly parentId: number;
  /** Node that this edge points at; null while detached. Written in the main context only. */
  rawBs: BlockDriverState | null = null;
  frozen = false;
  /** What the parent may do with the node (BLK_PERM_*). Written by permissions.ts, in the main context. */
  perm = 0;
  /** What the node's other parents may do meanwhile. As perm. */
  sharedPerm = BLK_PERM_ALL;
  /** How often this edge has quiesced its parent (C: parent_quiesce_counter); one entry a level: on whose behalf. */
  readonly quiescedFor: SectionId[] = [];
  /** Links of the two lists. */
  nextInChildren: BdrvChild | null = null;
  previousInChildren: BdrvChild | null = null;
  nextInParents: BdrvChild | null = null;
  previousInParents: BdrvChild | null = null;

  constructor(
    id: EdgeId,
    name: string,
    klass: BdrvChildClass,
    role: number,
    opaque: unknown,
    parentId: number,
  ) {
    this.id = id;
    this.name = name;
    this.klass = klass;
    this.role = role;
    this.opaque = opaque;
    this.parentId = parentId;
  }

  /** C: parent_quiesce_counter. */
  get parentQuiesceCounter(): number {
    return this.quiescedFor.length;
  }
}

/** Where an edge was, for the way back: the elements behind it in its two lists, and its reason against operations. */
export interface EdgePlace {
  readonly inChildren: readonly BdrvChild[];
  readonly inParents: readonly BdrvChild[];
  /** Null where it is no backing edge of a format. */
  readonly backingBlocker: BackingBlocker | null;
}

/** A list of edges with insertion at the head, as QLIST; iterate with `first` and `next`. */
export class EdgeList {
  readonly which: "children" | "parents";
  first: BdrvChild | null = null;
  length = 0;

  constructor(which: "children" | "parents") {
    this.which = which;
  }

  /** The element behind `edge`; still answers for an edge that was just removed, as freed memory often does. */
  next(edge: BdrvChild): BdrvChild | null {
    return this.which === "children" ? edge.nextInChildren : edge.nextInParents;
  }

  /** Whether `edge` is linked here. */
  has(edge: BdrvChild): boolean {
    for (let at = this.first; at !== null; at = this.next(at)) if (at === edge) return true;
    return false;
  }

  /** The elements now: for loops whose body may remove the current element (C: QLIST_FOREACH_SAFE). */
  snapshot(): BdrvChild[] {
    const edges: BdrvChild[] = [];
    for (let edge = this.first; edge !== null; edge = this.next(edge)) edges.push(edge);
    return edges;
  }

  /** The elements behind `edge`, which is linked here. */
  behind(edge: BdrvChild): BdrvChild[] {
    const edges: BdrvChild[] = [];
    for (let at = this.next(edge); at !== null; at = this.next(at)) edges.push(at);
    return edges;
  }

  /** Where `edge` was when `behind` it were those: before the first of them that is still here, else at the end. */
  insertBefore(edge: BdrvChild, behind: readonly BdrvChild[]): void {
    const rest = new Set(behind);
    let previous: BdrvChild | null = null;
    for (let at = this.first; at !== null && !rest.has(at); at = this.next(at)) previous = at;
    this.#insertAfter(previous, edge);
  }

  insertHead(edge: BdrvChild): void {
    this.#insertAfter(null, edge);
  }

  /** Behind `previous`, or at the head for null. */
  #insertAfter(previous: BdrvChild | null, edge: BdrvChild): void {
    const next = previous === null ? this.first : this.next(previous);
    if (this.which === "children") {
      edge.nextInChildren = next;
      edge.previousInChildren = previous;
      if (next !== null) next.previousInChildren = edge;
      if (previous !== null) previous.nextInChildren = edge;
    } else {
      edge.nextInParents = next;
      edge.previousInParents = previous;
      if (next !== null) next.previousInParents = edge;
      if (previous !== null) previous.nextInParents = edge;
    }
    if (previous === null) this.first = edge;
    this.length++;
  }

  remove(edge: BdrvChild): void {
    assert(this.length > 0, "an edge is removed from a list that holds it");
    if (this.which === "children") {
      const { nextInChildren: next, previousInChildren: previous } = edge;
      if (previous === null) this.first = next;
      else previous.nextInChildren = next;
      if (next !== null) next.previousInChildren = previous;
    } else {
      const { nextInParents: next, previousInParents: previous } = edge;
      if (previous === null) this.first = next;
      else previous.nextInParents = next;
      if (next !== null) next.previousInParents = previous;
    }
    this.length--;
  }
}

/** A request at a node (C: BdrvTrackedRequest). */
export interface BdrvTrackedRequest {
  readonly bs: BlockDriverState;
  /** The catalogue's RequestType. */
  readonly type: number;
  readonly offset: number;
  readonly bytes: number;
  readonly task: TaskId;
  /** Runs the request. */
  readonly co: Coroutine;
  /** It excludes requests that overlap with this range, which is as wide as the request or wider. */
  serialising: boolean;
  overlapOffset: number;
  overlapBytes: number;
  /** The request that this one waits for. */
  waitingFor: BdrvTrackedRequest | null;
  readonly waitQueue: CoQueue;
}

/** A node (C: BlockDriverState). */
export class BlockDriverState {
  readonly id: NodeId;
  readonly nodeName: string;
  readonly drv: BlockDriver;
  /** The driver's own state. */
  opaque: unknown;
  /** Edges to the nodes below. Written in the main context, node drained (patch 11); read by every request. */
  readonly rawChildren = new EdgeList("children");
  /** Edges from the parents above. As rawChildren. */
  readonly rawParents = new EdgeList("parents");
  /** Aliases of two of the children. As rawChildren. */
  rawFile: BdrvChild | null = null;
  rawBacking: BdrvChild | null = null;
  /** Context whose thread runs this node's requests. Changed in the main context, node drained. */
  aioContext: AioContext;
  refcnt = 1;
  readOnly: boolean;
  /** The image was handed over to another machine (C: BDRV_O_INACTIVE): nothing writes to it. */
  inactive = false;
  /** Discards reach the driver (C: BDRV_O_UNMAP). Set when the node is opened, and by a reopen. */
  unmap = true;
  /** Whether a write is looked at, and made one of zeroes when it has nothing else (C: detect_zeroes). */
  detectZeroes: DetectZeroes = "off";
  /** How many want all reads to copy what they find below into this node (C: copy_on_read). Changed by main. */
  copyOnRead = 0;
  /** Flushes go to the children and no further (C: BDRV_O_NO_FLUSH). */
  noFlush = false;
  /** Every parent shares everything (C: force_share). Set when the node is opened. */
  forceShare = false;
  /** No link to this node is ever frozen: the filter of a job that wants to leave when it likes. */
  neverFreeze = false;
  /** A filter that nobody asked for; users take the node below it for this one. */
  implicit = false;
  /** The node whose options made this one, and whose reopen reopens it, too. Main context only. */
  inheritsFrom: BlockDriverState | null = null;
  /** What may not be done to the node, and why; newest reason first. Main context only (op-blockers.ts). */
  readonly opBlockers = new Map<BlockOpType, OpBlockReason[]>();
  /** Why the backing file of this node is blocked; null without one. */
  backingBlocker: OpBlockReason | null = null;
  /** What the node was opened with, and which of that the user gave (the rest is inherited). Replaced by a reopen. */
  options: BlockOptions = {};
  explicitOptions: BlockOptions = {};
  /** What the image says its backing file is called, "" for nothing. */
  backingFile = "";
  /** And what format that has, "" when it does not say. */
  backingFormat = "";
  /** Number of the node that was opened because the image names it so, 0 for none (C: auto_backing_file). Main context only. */
  autoBackingId = 0;
  /** bdrv_close ran: the node is no longer usable. */
  closed = false;
  /**
   * C: bs->drv is NULL while the node is still in the graph: its driver has given up an image that contradicts itself, and there is no
   * medium for any request. Set for good by that driver, in the node's context.
   */
  ejected = false;

  /** How often drained (C: quiesce_counter); one entry a level: on whose behalf. */
  readonly quiescedFor: SectionId[] = [];
  /** C: recursive_quiesce_counter; one entry a level of subtree drain. */
  readonly recursiveQuiescedFor: SectionId[] = [];
  /** Requests in flight at this node (C: in_flight). */
  inFlight = 0;

  totalBytes = 0;
  requestAlignment = 1;
  /** How large requests to the driver may be, and how they are cut. Set when the node is opened. */
  limits: BlockLimits = NO_LIMITS;
  /** Newest last. */
  readonly trackedRequests: BdrvTrackedRequest[] = [];
  serialisingInFlight = 0;
  readonly reqsLock: CoMutex;
  readonly flushQueue: CoQueue;
  /** Newest first; see core/bitmaps/state.ts for who changes it. */
  readonly dirtyBitmaps: BdrvDirtyBitmap[] = [];
  readonly dirtyBitmapMutex: QemuMutex;
  activeFlushReq = false;
  writeGen = 0;
  flushedGen = 0;
  ioPlugged = 0;
  /** The first write behind this offset is told of, once; 0 for none. Written in main and by requests. */
  writeThresholdOffset = 0;
  /** The range of data that was found last (C: block_status_cache); see core/io/block-status-cache.ts. */
  blockStatusCache: { readonly dataStart: number; readonly dataEnd: number } | null = null;

  constructor(
    id: NodeId,
    nodeName: string,
    drv: BlockDriver,
    ctx: AioContext,
    readOnly: boolean,
    locks: NodeLocks,
  ) {
    this.id = id;
    this.nodeName = nodeName;
    this.drv = drv;
    this.aioContext = ctx;
    this.readOnly = readOnly;
    this.opaque = null;
    this.reqsLock = locks.reqsLock;
    this.flushQueue = locks.flushQueue;
    this.dirtyBitmapMutex = locks.dirtyBitmapMutex;
  }

  /** C: quiesce_counter. */
  get quiesceCounter(): number {
    return this.quiescedFor.length;
  }

  /** C: recursive_quiesce_counter. */
  get recursiveQuiesceCounter(): number {
    return this.recursiveQuiescedFor.length;
  }
}

/** The locks that a node is born with. */
export interface NodeLocks {
  readonly reqsLock: CoMutex;
  readonly flushQueue: CoQueue;
  readonly dirtyBitmapMutex: QemuMutex;
}
