// The table of a driver's behaviour: what the block layer asks of a node, by the kind of node that it is.

import type { AioContext, Co, Polls } from "../sched/index.ts";
import type { BlockError } from "./block-error.ts";
import type { ReopenState } from "./block-options.ts";
import type { BlkdebugEvent } from "./debug-events.ts";
import type {
  BdrvCheckResult,
  BlockDriverInfo,
  BlockStatus,
  ImageInfoSpecific,
} from "./driver-results.ts";
import type { Permissions } from "./permission-bits.ts";
import type { BdrvChild, BlockDriverState, Qiov, WritableAfterReopen } from "./state.ts";
import type { Truncation } from "./truncation.ts";

/** What of one node is copied to where in another one: C's arguments of bdrv_co_copy_range. */
export interface CopyRange {
  /** Null: nothing is read, the target gets zeroes (C: BDRV_REQ_ZERO_WRITE). */
  readonly src: BdrvChild | null;
  readonly srcOffset: number;
  readonly dst: BdrvChild;
  readonly dstOffset: number;
  readonly bytes: number;
  /** Of the writes: BDRV_REQ_SERIALISING, BDRV_REQ_MAY_UNMAP. */
  readonly writeFlags: number;
}

/** C: bdrv_child_perm of a BlockDriver. */
export type ChildPerm = (
  bs: BlockDriverState,
  child: BdrvChild | null,
  role: number,
  reopen: WritableAfterReopen | null,
  parent: Permissions,
) => Permissions;

/** 0 or a negated errno; null, and nothing has happened. */
type NowAccess = (bs: BlockDriverState, offset: number, bytes: number, qiov: Qiov) => number | null;

/** A driver (C: BlockDriver): a table of functions, as in QEMU. `opaque` of the node is the driver's own state. */
export interface BlockDriver {
  readonly formatName: string;
  readonly isFilter: boolean;
  /** Filters: whether the filtered child is `backing` (else `file`). */
  readonly filteredChildIsBacking?: boolean;
  /** Whether the driver takes a COW backing child. */
  readonly supportsBacking?: boolean;
  /** Release what `open` took; called by bdrv_close inside a drained section. May poll. */
  readonly drvClose?: (bs: BlockDriverState) => undefined | Polls<void>;
  /** Data paths: 0 or a negated errno. Missing means the driver cannot. */
  readonly coPreadv?: (
    bs: BlockDriverState,
    offset: number,
    bytes: number,
    qiov: Qiov,
    flags: number,
  ) => Co<number>;
  readonly coPwritev?: (
    bs: BlockDriverState,
    offset: number,
    bytes: number,
    qiov: Qiov,
    flags: number,
  ) => Co<number>;
  /** The same without waiting, and without a flag, of a range that is the node's (core/io/now.ts): null where that cannot be. */
  readonly nowPreadv?: NowAccess;
  readonly nowPwritev?: NowAccess;
  /** Whether all of a range, which is the node's, is known to be data, without waiting. */
  readonly nowIsData?: (bs: BlockDriverState, offset: number, bytes: number) => boolean;
  readonly coPwritevCompressed?: (
    bs: BlockDriverState,
    offset: number,
    bytes: number,
    qiov: Qiov,
  ) => Co<number>;
  readonly coPwriteZeroes?: (
    bs: BlockDriverState,
    offset: number,
    bytes: number,
    flags: number,
  ) => Co<number>;
  readonly coPdiscard?: (bs: BlockDriverState, offset: number, bytes: number) => Co<number>;
  /**
   * Copying without a buffer (core/io/copy-range.ts): 0 or a negated errno. The node behind `src` says where its bytes are, and asks
   * on there; at the end of its way it asks the target with `bdrvCoCopyRangeTo`, whose node says where they go. Missing: ENOTSUP,
   * and who wanted it reads and writes.
   */
  readonly coCopyRangeFrom?: (bs: BlockDriverState, range: CopyRange) => Co<number>;
  readonly coCopyRangeTo?: (bs: BlockDriverState, range: CopyRange) => Co<number>;
  /** The whole flush, that of the children included; or the two below. */
  readonly coFlush?: (bs: BlockDriverState) => Co<number>;
  /** Flush to the operating system and to the disk; children are flushed by the caller. */
  readonly coFlushToOs?: (bs: BlockDriverState) => Co<number>;
  readonly coFlushToDisk?: (bs: BlockDriverState) => Co<number>;
  /** Who fails says why, with `how.errorSetg`. */
  readonly coTruncate?: (bs: BlockDriverState, offset: number, how: Truncation) => Co<number>;
  /**
   * Where the bytes of an aligned range come from, for an aligned and non-empty start of it; with `wantZero` it is worth some
   * effort to find zeroes. Missing: filters ask the node below, all others have data.
   */
  readonly coBlockStatus?: (
    bs: BlockDriverState,
    wantZero: boolean,
    offset: number,
    bytes: number,
  ) => Co<BlockStatus>;
  /** The older contents that a snapshot keeps (core/io/snapshot.ts): as coPreadv, coBlockStatus and coPdiscard. Missing: there are none. */
  readonly coPreadvSnapshot?: (
    bs: BlockDriverState,
    offset: number,
    bytes: number,
    qiov: Qiov,
  ) => Co<number>;
  readonly coSnapshotBlockStatus?: (
    bs: BlockDriverState,
    wantZero: boolean,
    offset: number,
    bytes: number,
  ) => Co<BlockStatus>;
  readonly coPdiscardSnapshot?: (bs: BlockDriverState, offset: number, bytes: number) => Co<number>;
  /** The node is no format: its bytes are where the guest sees them, and come from outside (C: protocol_name). */
  readonly isProtocol?: boolean;
  /** The state of a machine, beside the guest's data: 0 or a negated errno. Missing: the primary child has it. */
  readonly coLoadVmstate?: (
    bs: BlockDriverState,
    position: number,
    bytes: number,
    qiov: Qiov,
  ) => Co<number>;
  readonly coSaveVmstate?: (
    bs: BlockDriverState,
    position: number,
    bytes: number,
    qiov: Qiov,
  ) => Co<number>;
  /** Look for errors in the image, and mend what `fix` (BDRV_FIX_*) says: 0 or a negated errno. */
  readonly coCheck?: (bs: BlockDriverState, result: BdrvCheckResult, fix: number) => Co<number>;
  /** The image comes back from another machine: forget what is cached of it. 0 or a negated errno. */
  readonly coInvalidateCache?: (bs: BlockDriverState) => Co<number>;
  /** It is handed over to another machine: write everything that is not written yet. 0 or a negated errno. May poll. */
  readonly inactivate?: (bs: BlockDriverState) => Polls<number>;
  /** What users are told of the image (C: bdrv_get_info, bdrv_get_specific_info). Missing: nothing. */
  readonly getInfo?: (bs: BlockDriverState) => BlockDriverInfo | null;
  readonly getSpecificInfo?: (bs: BlockDriverState) => ImageInfoSpecific;
  /** Length in bytes, or a negated errno. Missing: the length of the primary child. */
  readonly getlength?: (bs: BlockDriverState) => number;
  /** Bytes that the image takes where it is, or a negated errno (C: bdrv_get_allocated_file_size). Missing: those of its children. */
  readonly getAllocatedFileSize?: (bs: BlockDriverState) => number;
  /** The length is asked for each time (C: has_variable_length); else the one of open, write and truncate counts. */
  readonly hasVariableLength?: boolean;
  /** Whether the medium is there; missing: all children decide. */
  readonly isInserted?: (bs: BlockDriverState) => boolean;
  /** Drain hooks (C: bdrv_co_drain_begin, bdrv_co_drain_end): run as coroutines in the node's context. */
  readonly coDrainBegin?: (bs: BlockDriverState) => Co<void>;
  readonly coDrainEnd?: (bs: BlockDriverState) => Co<void>;
  /** The node's context changes: detach from the old, attach to the new. */
  readonly detachAioContext?: (bs: BlockDriverState) => void;
  readonly attachAioContext?: (bs: BlockDriverState, ctx: AioContext) => void;
  readonly ioPlug?: (bs: BlockDriverState) => void;
  readonly ioUnplug?: (bs: BlockDriverState) => void;
  /**
   * What the node asks of a child, or of a child to be (`child` is null), when its own parents ask `parent`. Missing: the
   * default for the role. Called again whenever something above changes; must not edit anything.
   */
  readonly childPerm?: ChildPerm;
  /** The node's parents will ask `asked` of it: prepare, or refuse with a BlockError. May poll. */
  readonly checkPerm?: (bs: BlockDriverState, asked: Permissions) => undefined | Polls<void>;
  /** They ask it now (after checkPerm), or the update is off. May poll. */
  readonly setPerm?: (bs: BlockDriverState, asked: Permissions) => undefined | Polls<void>;
  readonly abortPermUpdate?: (bs: BlockDriverState) => undefined | Polls<void>;
  /**
   * A reopen (reopen.ts): stage the new options, or refuse with a BlockError; then make them true, or drop them. The node is
   * drained. `reopenCommitPost` runs when the whole queue is committed. May poll. Without `reopenPrepare` a node of this
   * driver cannot be reopened.
   */
  readonly reopenPrepare?: (state: ReopenState) => undefined | Polls<void>;
  readonly reopenCommit?: (state: ReopenState) => undefined | Polls<void>;
  readonly reopenCommitPost?: (state: ReopenState) => undefined | Polls<void>;
  readonly reopenAbort?: (state: ReopenState) => undefined | Polls<void>;
  /** Options of its own that a reopen may leave out, and so reset (C: mutable_opts). */
  readonly mutableOptions?: readonly string[];
  /** Write the name of the backing file into the image: 0 or a negated errno. May poll. Missing: there is no place for it. */
  readonly changeBackingFile?: (
    bs: BlockDriverState,
    backingFile: string,
    backingFormat: string,
  ) => Polls<number>;
  /** Whether bitmaps can be stored in the image; whether one like that can, or a BlockError; and taking one out of it again. */
  readonly supportsPersistentDirtyBitmap?: (bs: BlockDriverState) => boolean;
  readonly canStoreNewDirtyBitmap?: (
    bs: BlockDriverState,
    name: string,
    granularity: number,
  ) => void;
  readonly coRemovePersistentDirtyBitmap?: (
    bs: BlockDriverState,
    name: string,
  ) => Co<BlockError | null>;
  /** Something happens to the node of which rules may speak (core/io/debug-event.ts). Missing: nobody listens. */
  readonly coDebugEvent?: (bs: BlockDriverState, event: BlkdebugEvent) => Co<void>;
  /** Breakpoints at such events. Missing: the primary child may have some. */
  readonly breakpoints?: DriverBreakpoints;
  /** Hot add and removal of a child (quorum-children.ts has both). Poll. Missing: the driver's children are fixed. */
  readonly addChild?: (bs: BlockDriverState, childBs: BlockDriverState) => Polls<void>;
  readonly delChild?: (bs: BlockDriverState, child: BdrvChild) => Polls<void>;
}

/** C: bdrv_debug_breakpoint and its like. Numbers are 0 or a negated errno. */
export interface DriverBreakpoints {
  /** Hold the next request at `event`, and call it `tag`. */
  readonly set: (bs: BlockDriverState, event: string, tag: string) => number;
  /** Forget it, and let all go on that it holds. */
  readonly remove: (bs: BlockDriverState, tag: string) => number;
  /** Let one request go on that is called `tag`. */
  readonly release: (bs: BlockDriverState, tag: string) => number;
  readonly isSuspended: (bs: BlockDriverState, tag: string) => boolean;
}
