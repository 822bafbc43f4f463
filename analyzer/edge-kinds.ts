// The kinds of edges of the two happens-before orders, each of which can be switched off (`AnalyzeOptions.disableEdges`) to
// see what rests on it; "same-thread" is the only one that cannot, as the clocks are those of the contexts. Design D9 gives the sanctioned ones, section 2.12 of the QEMU reference the rest.

/** Edges of the sanctioned order: the protocol promises them. */
export const SANCTIONED_EDGES = [
  /** Program order of a task, and of the main context. */
  "task-order",
  /** ctx_start to ctx_run, ctx_stop to ctx_join. */
  "context-start",
  "context-join",
  /** Decrement of a node's in-flight counter to the drain condition that reads it as zero. */
  "node-counter",
  /** The same for a BlockBackend's counter. */
  "blk-counter",
  /** Decrement of a BlockBackend's quiesce count to the admission that reads it as zero. */
  "gate",
  /** drained_end wakes a queued request. */
  "queue-wake",
  /** External events enabled again to an external handler dispatched with count zero. */
  "external",
  /** job_resume to the pause point that reads the pause count as zero. */
  "job-resume",
  /** A job is no longer busy, read by the section that paused it. */
  "job-idle",
  /** A request that a drainer starts inside its section and waits for there: begin to task, task to end. */
  "wrapper-begin",
  "wrapper-end",
] as const;

/**
 * Edges that only the full order has: accidents, as far as the protocol is concerned. Section 2.12's "submit to completion" is
 * not among them: an operation is completed in the context that submitted it, so that "same-thread" says the same; nor is "fd",
 * as what makes a descriptor ready is outside of the trace; an event notifier is set inside of it, like a bottom half.
 */
export const ACCIDENTAL_EDGES = [
  "same-thread",
  "lock",
  "bh",
  "coroutine",
  "wake",
  "timer",
  "wait",
  "counter",
  /** An edit to a later read of what it left behind (`AnalyzeOptions.order` "shb"). */
  "read-from",
] as const;

export type SanctionedEdge = (typeof SANCTIONED_EDGES)[number];
export type AccidentalEdge = (typeof ACCIDENTAL_EDGES)[number];
/** A kind of edge of either order. */
export type EdgeKind = SanctionedEdge | AccidentalEdge;
