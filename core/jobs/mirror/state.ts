// The state of a mirror job, and of the filter that it puts above its source. State only.

import type { BlockBackend } from "../../backend/index.ts";
import type { BlockDriverState } from "../../graph/state.ts";
import type { DirtyChunks } from "./dirty-chunks.ts";

/** Which data of the source the target gets (C: MirrorSyncMode): all of it, or only what is written from now on. */
export type MirrorSyncMode = "full" | "none";

/** C: MirrorBlockJob. Fields without a word on it are the job's own: its coroutine's while it runs, main's afterwards. */
export class MirrorState {
  readonly sync: MirrorSyncMode;
  readonly topBs: BlockDriverState;
  /** Written to by the job alone; null when the job has ended. */
  target: BlockBackend | null;
  /** What the target does not have yet. The filter marks writes that have ended, in the source's thread. */
  readonly dirty: DirtyChunks;
  /** Requests of the job to source and target. Read by drains of any thread. */
  inFlight = 0;
  /** It is to end, with the target in place of the source, as soon as both are the same. Written in main. */
  shouldComplete = false;
  /** It is in a drained section of its own, which must not wait for it. Read by drains of any thread (see mirror.ts). */
  inDrain = false;
  /** `prepare` or `abort` has run. */
  prepared = false;

  constructor(
    sync: MirrorSyncMode,
    topBs: BlockDriverState,
    target: BlockBackend,
    dirty: DirtyChunks,
  ) {
    this.sync = sync;
    this.topBs = topBs;
    this.target = target;
    this.dirty = dirty;
  }
}

/** The state of a node `mirror_top` (C: MirrorBDSOpaque). */
export class MirrorTopState {
  /** The job whose dirty chunks writes mark; null before it starts and when it has ended. */
  job: MirrorState | null = null;
  /** The job ends: nothing is asked of the node below any more. */
  stop = false;
}
