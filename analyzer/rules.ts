// The rules: what the analyzer can find, how bad it is, and what it means. Identifiers are stable; reports, exit codes and
// suppressions name them. The first sentence of `help` says what is wrong, the rest what to do about it.

/** How bad a finding is; `--fail-on` of the command line compares with this. */
export type Severity = "error" | "warning" | "note";

/** A rule as reports show it. */
export interface Rule {
  readonly severity: Severity;
  /** A few words. */
  readonly title: string;
  readonly help: string;
}

export const RULES = {
  race: {
    severity: "error",
    title: "Uncovered read: race",
    help: "A list of the graph was read and edited, and nothing orders the two accesses: neither a drain nor even an accident. Put the suggested drained section around the edit.",
  },
  "predicted-race": {
    severity: "error",
    title: "Uncovered read: race in another schedule",
    help: "A list of the graph was read and edited, and only a lock that happened to be taken in between orders the two accesses: the same run, executed under another schedule, has the race. Put the suggested drained section around the edit; holding the lock around both accesses would only hide it again.",
  },
  "edit-outside-drain": {
    severity: "error",
    title: "Edit outside a drain",
    help: "A list was edited although the operation that edits it has not drained the node: it opened no section that holds the node, or it drained another one. A quiesce_counter above zero proves nothing: another party may hold it and let go. Put the suggested drained section around the operation.",
  },
  "edit-before-poll-end": {
    severity: "error",
    title: "Edit before the drain has waited",
    help: "A list was edited inside a drained section whose poll phase had not ended: requests that were in flight may still read the list. Use the form that polls, and edit after drained_begin has returned.",
  },
  "unfinished-drain": {
    severity: "error",
    title: "Drained section never ended",
    help: "A drained section was begun and never ended, in a run that came to its end: what it holds never serves requests again. Pair every drained_begin with its drained_end, on every path.",
  },
  "end-without-begin": {
    severity: "error",
    title: "Drain ended without having begun",
    help: "A drained section was ended that had not begun, or had ended before: somebody else's level is lowered, and requests come back too early. Pair every drained_end with its drained_begin.",
  },
  "leaked-level": {
    severity: "error",
    title: "Quiesce level left behind by a drain",
    help: "A drained section ended, but quiesce levels that it had raised were never lowered: what they hold never serves requests again. An edge moved while the section was under way; whoever moves it must give or take the levels of the sections on both sides.",
  },
  "unbalanced-counter": {
    severity: "error",
    title: "Counter out of balance",
    help: "An in-flight or quiesce counter went below zero: something was given back that had not been taken, and drains no longer wait for whoever holds the rest.",
  },
  "edit-off-main": {
    severity: "error",
    title: "Edit off the main context",
    help: "A list of the graph was edited in an iothread; only the main context may do that, and no drain helps. Move the operation to a bottom half of the main context.",
  },
  "edit-in-io-completion": {
    severity: "error",
    title: "Graph change from a request's completion",
    help: "A request changed the graph in its own completion callback, while it still holds its in-flight counters: the drain around the change waits for the request, and the request for the drain. Schedule a bottom half that makes the change.",
  },
  "wrong-thread": {
    severity: "error",
    title: "Global-state code in an iothread",
    help: "Code that only the main context may run (a function that begins with GLOBAL_STATE_CODE) ran in an iothread, over lists that main may be editing. Move the call to a bottom half of the main context.",
  },
  "wrong-home": {
    severity: "error",
    title: "I/O code in a thread that has no right to it",
    help: "I/O code of a node ran in a thread that is neither the node's own nor holds the lock of its context, or polled for it elsewhere than at home or in main. Move the call to a bottom half of the context that the finding names, or take that context's lock.",
  },
  "wrong-context-lock": {
    severity: "error",
    title: "Wrong AioContext lock",
    help: "In a run that takes AioContext locks, a request ran at a node without the lock of the node's context, or a context released a lock that it did not hold. Take the lock of the node's context around the request (aio_context_acquire), and release it in the thread that took it.",
  },
  "modelled-assertion": {
    severity: "error",
    title: "Modelled assertion failed",
    help: "QEMU's own assertion stopped the run. The text of the assertion says which promise was broken.",
  },
  deadlock: {
    severity: "error",
    title: "Nothing can ever run again",
    help: "Every context waits and nothing outstanding can wake one. The frames show what each context waits for.",
  },
  "contexts-wait-in-circle": {
    severity: "error",
    title: "Contexts wait for each other",
    help: "Each of these contexts has a drain that waits for a request which has come to rest in the next one. A drain in an iothread, or one inside a request, must not wait for what waits for it: let the main context drain.",
  },
  "lock-order-cycle": {
    severity: "warning",
    title: "Locks taken in a circle",
    help: "Different threads or coroutines take the same locks in different orders, with no lock in common that would keep them apart: in another schedule each waits for the other for ever. Take them in one order everywhere, or hold one lock around both.",
  },
  "use-after-free": {
    severity: "error",
    title: "Use of a freed object",
    help: "A node, an edge or a BlockBackend was used after it had been freed. Hold a reference for as long as the pointer is kept, or drain whoever may hold one before the last reference goes.",
  },
  "race-with-free": {
    severity: "error",
    title: "Nothing orders a use before the free",
    help: "A node, an edge or a BlockBackend was used and later freed, and nothing orders the use before the free, neither a drain nor even an accident: in another schedule the free comes first. Drain whoever may use the object before the last reference goes, or let the user hold a reference.",
  },
  "interleaved-operations": {
    severity: "error",
    title: "Two operations on the graph interleave",
    help: "An operation on the graph, or the completion of a job, polled, and another one ran inside the poll that changed what the first had looked at, or looked at what it had half changed: the outcome is one that neither order of the two has. Drain before the operation begins, check again after every poll what was checked before it, or let operations wait for one another.",
  },
  "stale-pointer": {
    severity: "error",
    title: "Stale pointer across a poll or yield",
    help: "A node or edge was fetched from the graph, the code polled or yielded, and used it afterwards although it had been taken out of where it came from. Fetch it after the poll, or drain first and fetch then.",
  },
  "lost-wakeup": {
    severity: "error",
    title: "Lost wake-up",
    help: "Main waits for a condition that another context makes true without a kick behind it: main may sleep for ever. Call aio_wait_kick after the store, always.",
  },
  "poll-not-allowed": {
    severity: "error",
    title: "Poll where none is allowed",
    help: "An event loop ran in a coroutine, while a transaction was undone, or between two levels of one drain. Move the poll out of the callback: drain before, or leave the rest to a bottom half.",
  },
  "edit-in-iteration": {
    severity: "error",
    title: "Edit in the middle of an iteration",
    help: "A list was edited while a loop over the same list was suspended on a yield or a poll. No drain and no lock helps: iterate over a copy, or let the loop start again after every poll.",
  },
  "request-in-drained-section": {
    severity: "warning",
    title: "A request began inside a drained section",
    help: "A request raised a node's in-flight counter although the node was drained, its poll phase had ended, and the drainer did not start the request itself: the node was not as quiet as the section promised.",
  },
  "job-sleep-cut-short": {
    severity: "warning",
    title: "Job sleep cut short",
    help: "A job that slept for its rate limit was paused by a drained section, and went on as soon as the section had ended, before its time was over: with drains often enough it ignores its limit. Sleep again until the deadline has passed, as job_sleep_ns does with patch 9.",
  },
  "covered-by-luck": {
    severity: "warning",
    title: "Covered by luck",
    help: "A read and an edit of a list are ordered, but only by an accident that no protocol promises (the same thread, a lock meant for something else, a bottom half): another schedule, or more iothreads, would make it a race. Put the suggested drained section around the edit.",
  },
  "needless-drain": {
    severity: "note",
    title: "Drain that made nothing quiet",
    help: "Every drained section that this function began found nothing in flight, made nobody wait, and guarded no edit. That may be so in this run only; if it must be so, leave the section out, for each one stops guests. Only said when drains are asked for.",
  },
  "read-without-context-lock": {
    severity: "error",
    title: "Read without the AioContext lock (P0)",
    help: "By policy P0 a list is read under the AioContext lock of its owner's home; this read was made without. Take the lock of that context around the read, or run it where the owner is at home.",
  },
  "edit-without-context-lock": {
    severity: "error",
    title: "Edit without the AioContext lock (P0)",
    help: "By policy P0 a list is edited under the AioContext lock of its owner's home; this edit was made without. Call aio_context_acquire on that context before the operation.",
  },
  "parents-read-off-main": {
    severity: "error",
    title: "Parents read off the main context (P2)",
    help: "By policy P2 the list parents is global state that only the main context may look at; this read was made elsewhere. Move it to the main context, or keep what it looks for where I/O can see it.",
  },
  "edits-not-exclusive": {
    severity: "error",
    title: "Two operations edit the graph at once (P2)",
    help: "By policy P2 operations that edit the graph exclude one another; one made an edit between the begin and the end of another that edits too. A drain does not keep operations apart: queue them.",
  },
  "edge-not-quiesced": {
    severity: "error",
    title: "Edge moved without having quiesced its parent (P3)",
    help: "By policy P3 an edge is pointed at a node only while it has quiesced its parent; this one had not. Begin a drained section of the node that the edge comes from before the move; for a new edge, of the node that it is pointed at.",
  },
  "child-not-quiesced": {
    severity: "error",
    title: "Edge moved to a node that is not quiesced (P3)",
    help: "By policy P3 the node that an edge is pointed at is quiesced; this one was not, so the move itself would let the parent go. Begin a drained section of the new child before the move.",
  },
  "read-without-graph-lock": {
    severity: "error",
    title: "Read without the graph lock (P4)",
    help: "By policy P4 a list is read under the graph lock or in the main context; this read was made without. Take the lock for reading (GRAPH_RDLOCK_GUARD) in the coroutine that reads, or in its request.",
  },
  "edit-without-graph-lock": {
    severity: "error",
    title: "Edit without the graph lock for writing (P4)",
    help: "By policy P4 a list is edited under the graph lock for writing; this edit was made without. Call bdrv_graph_wrlock before the edit, and bdrv_graph_wrunlock after it.",
  },
  "graph-lock-broken": {
    severity: "error",
    title: "Graph lock broken (P4)",
    help: "The graph lock had a reader and a writer at once, or two writers, or was released by who did not hold it: it protects nothing. Pair every taking with its release, in one coroutine.",
  },
  "drain-under-graph-lock": {
    severity: "error",
    title: "Drain begun under the graph lock (P5)",
    help: "By policy P5 no drained section begins while its beginner holds the graph lock: the drain waits for requests, and a request may wait for the lock. Begin the drain before the lock is taken.",
  },
} as const satisfies Readonly<Record<string, Rule>>;

/** Identifier of a rule. */
export type RuleId = keyof typeof RULES;

/** All rules, worst first: the order in which findings are listed. */
export const RULE_IDS = Object.keys(RULES) as readonly RuleId[];

/** 0 for errors, 1 for warnings, 2 for notes: smaller is worse. */
export function severityRank(severity: Severity): number {
  return severity === "error" ? 0 : severity === "warning" ? 1 : 2;
}
