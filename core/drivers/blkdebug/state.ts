// The state of a blkdebug node: its rules by event, those that fail requests now, and the requests that it holds.
//
// An event looks at the rules that name it, if they are for the state that the node is in. Rules that inject errors then take
// the place of those that were active, until the next event that has such rules; rules that set the state take effect behind the
// event. State only; what happens is in rules.ts and breakpoints.ts.

import { assert } from "../../base/index.ts";
import type { BlkdebugEvent } from "../../graph/debug-events.ts";
import type { BlockDriverState } from "../../graph/state.ts";
import type { Coroutine } from "../../sched/index.ts";

/** Kinds of request that a rule can name (QAPI: BlkdebugIOType). */
export const BLKDEBUG_IO_TYPES = [
  "read",
  "write",
  "write-zeroes",
  "discard",
  "flush",
  "block-status",
] as const;

/** One of them. */
export type BlkdebugIoType = (typeof BLKDEBUG_IO_TYPES)[number];

/** QAPI: BlkdebugInjectErrorOptions, with the sector as an offset. */
interface InjectError {
  readonly event: BlkdebugEvent;
  /** The state in which the rule counts; 0 for any. */
  readonly state: number;
  /** Null: all but block-status. */
  readonly ioType: BlkdebugIoType | null;
  /** Positive; 0 lets the request through. */
  readonly errno: number;
  /** The byte that a request has to touch; null for any request. */
  readonly offset: number | null;
  /** The rule is gone after its first use. */
  readonly once: boolean;
  /** Fail in the step of the request; else after one turn of the event loop. */
  readonly immediately: boolean;
}

/** QAPI: BlkdebugSetStateOptions. */
interface SetState {
  readonly event: BlkdebugEvent;
  readonly state: number;
  readonly newState: number;
}

/** A rule that fails requests while it is active. */
export type InjectErrorRule = { readonly action: "inject-error" } & InjectError;

/** A rule of a node (C: BlkdebugRule). */
export type BlkdebugRule =
  | InjectErrorRule
  | ({ readonly action: "set-state" } & SetState)
  | {
      readonly action: "suspend";
      readonly event: BlkdebugEvent;
      readonly state: 0;
      readonly tag: string;
    };

/** A request that a breakpoint holds (C: BlkdebugSuspendedReq). */
interface SuspendedRequest {
  readonly co: Coroutine;
  readonly tag: string;
}

/** C: BDRVBlkdebugState. Differs from QEMU: no lock, as nothing here yields in between. */
export class BlkdebugState {
  state = 1;
  /** Newest first. */
  readonly rules: BlkdebugRule[] = [];
  /** Oldest first. */
  active: InjectErrorRule[] = [];
  /** Newest first. */
  readonly suspended: SuspendedRequest[] = [];
  /** BLK_PERM_* that the node asks of its file, and does not share, whatever its parents say. */
  readonly takeChildPerms: number;
  readonly unshareChildPerms: number;

  constructor(takeChildPerms: number, unshareChildPerms: number) {
    this.takeChildPerms = takeChildPerms;
    this.unshareChildPerms = unshareChildPerms;
  }
}

/** The state of a blkdebug node. Common. */
export function blkdebugStateOf(bs: BlockDriverState): BlkdebugState {
  assert(bs.opaque instanceof BlkdebugState, "the node is a blkdebug node");
  return bs.opaque;
}
