// AioContext: an event loop, and here a logical thread (design D3). State only; what runs it is in aio-poll.ts, bottom
// halves in bottom-half.ts, timers in timer.ts, the recursive lock in aio-context-lock.ts.

import type { CtxId, LockId } from "../base/index.ts";
import type { BottomHalf } from "./bottom-half.ts";
import type { Polls } from "./colours.ts";
import type { Coroutine } from "./coroutine.ts";
import type { EventNotifier } from "./event-notifier.ts";
import { type FdHandler, isDispatchable } from "./fd-handler.ts";
import type { IoOperation } from "./host-io.ts";
import type { Timer } from "./timer.ts";

/** The recursive lock of a context (C: AioContext.lock). Taken only under `--lock aio`. */
export interface RecursiveLock {
  readonly id: LockId;
  /** The context (thread) that holds it. */
  owner: AioContext | null;
  depth: number;
}

/** An AIO_WAIT_WHILE in progress, for the report of a deadlock. */
export interface WaitFrame {
  /** SiteId of the function that waits. */
  readonly site: number;
  /** Its condition. */
  readonly busy: () => boolean;
}

export class AioContext {
  readonly id: CtxId;
  readonly name: string;
  /** The thread: its main loop. Null until started. */
  thread: Polls<void> | null = null;
  /** The thread has come to its end. */
  finished = false;
  /** The thread may end when its loop next looks (iothread stop). */
  stopping = false;

  /** Newest bottom halves first: scheduled but not yet in a slice (C: bh_list). */
  bhList: BottomHalf[] = [];
  /** Slices being run, outermost first (C: bh_slice_list). They live here, never in a frame of aio_poll. */
  readonly bhSlices: BottomHalf[][] = [];
  /** Coroutines given by aio_co_schedule, oldest first (C: scheduled_coroutines, which is reversed before it is run). */
  scheduledCoroutines: Coroutine[] = [];
  readonly completions: IoOperation[] = [];
  readonly expiredTimers: Timer[] = [];
  readonly readyFds: FdHandler[] = [];
  /** Event notifiers that have a handler here. */
  readonly notifiers: EventNotifier[] = [];
  /** The bottom half that enters `scheduledCoroutines` (C: co_schedule_bh); made at the first use. */
  coScheduleBh: BottomHalf | null = null;
  /** aio_disable_external level. */
  externalDisableCount = 0;
  /** aio_notify was called since the last poll. */
  notified = false;
  /** Nested aio_polls in progress, the outer included. */
  pollDepth = 0;
  readonly waitFrames: WaitFrame[] = [];

  /** The step has just begun and no handler ran in it: no need to end it before the first. */
  fresh = false;
  /** Whether a poll of this context has anything to do; what a blocking poll sleeps for. */
  readonly hasWork: () => boolean;
  /** What the context sleeps for; null when it can run. Looked at by the machine before each step. */
  wakeCondition: (() => boolean) | null = null;
  readonly lock: RecursiveLock;

  constructor(id: CtxId, name: string, lockId: LockId) {
    this.id = id;
    this.name = name;
    this.lock = { id: lockId, owner: null, depth: 0 };
    this.hasWork = () =>
      this.notified ||
      this.bhList.length > 0 ||
      this.completions.length > 0 ||
      this.expiredTimers.length > 0 ||
      this.bhSlices.length > 0 ||
      this.readyFds.some(isDispatchable) ||
      this.notifiers.some(({ isSet, fd }) => isSet && fd !== null && isDispatchable(fd));
  }
}
