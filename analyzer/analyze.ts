// A whole trace at once. A trace that can be read again is judged as if what is rare did not happen, and again where it does:
//
//   - Most pairs are ordered by some protocol: the full order is followed only for lists that have others (conflicts/suspects.ts).
//   - Few runs ask what two contexts other than main know of one another: vector clocks are for those (order/full.ts).
//   - Few runs take a lock that a policy rests on (policies/asleep.ts).

import { QuiesceError } from "#core/base";
import { Analysis } from "./analysis.ts";
import { Suspects, SuspectsEverywhere } from "./conflicts/suspects.ts";
import type { EdgeKind } from "./edge-kinds.ts";
import type { AnalysisResult } from "./findings.ts";
import type { AnalysisSettings, AnalyzeOptions, Clocks, TraceInput } from "./input.ts";
import { EVENTS_AGAIN_MAX, SUSPECT_PARTS_MAX, SUSPECTS_MAX } from "./limits.ts";
import { oncePerFingerprint } from "./once.ts";
import { OffMain } from "./order/full.ts";
import { NEVER } from "./order/knowledge.ts";
import { LockTaken, type PolicyLock } from "./policies/asleep.ts";
import { asTask, asThread, bothReadings } from "./readings.ts";
import { type JudgeWithout, withSmallestEdges } from "./smallest-edges.ts";

/** A trace that can be read again. */
type AgainInput = TraceInput & Required<Pick<TraceInput, "again">>;

/** Analyse a whole trace. */
export function analyze(trace: TraceInput, options: AnalyzeOptions = {}): AnalysisResult {
  const { again } = trace;
  if (again === undefined) return oncePerFingerprint(judgeOnce(trace, options));
  const readable = { ...trace, again };
  const { result, only } = judge(readable, options);
  return oncePerFingerprint(
    options.smallestEdges === true
      ? withSmallestEdges(result, judgingWithout(readable, options, only ?? allLists()))
      : result,
  );
}

/** The result of a trace that can be read but once. */
function judgeOnce(trace: TraceInput, options: AnalyzeOptions): AnalysisResult {
  const { sites, strings } = trace;
  const isBoth = options.reading === "both";
  const analysis = new Analysis(isBoth ? asThread(options) : options);
  const byTask = isBoth ? new Analysis(asTask(options)) : null;
  for (const batch of trace.batches) {
    analysis.feed(batch);
    byTask?.feed(batch);
  }
  const result = analysis.finish(sites, strings);
  return byTask === null ? result : bothReadings(result, byTask.finish(sites, strings));
}

function judge(trace: AgainInput, options: AnalyzeOptions): Judged {
  const { sites, strings } = trace;
  const { reading, disableEdges, order } = options;
  // Without some edge, what a protocol orders may not be ordered by units, so that any list is suspect.
  const isWhole = (disableEdges?.size ?? 0) === 0;
  const isFull = options.orders !== "sanctioned";
  if (reading === "both" && isFull)
    return isWhole ? bothOf(trace, options) : { result: judgeOnce(trace, options), only: null };
  if (reading === "both") {
    const { result, only } = judge(trace, asThread(options));
    return { result: bothReadings(result, null), only };
  }
  if (reading !== "task" && isFull && order !== "shb" && isWhole) return bySuspects(trace, options);
  const analysis = follow(trace, (settings) => new Analysis(options, settings));
  return { result: analysis.finish(sites, strings), only: null };
}

/** Both readings: the second one of those lists alone that it may judge in another way, and not at all if there are none. */
function bothOf(trace: AgainInput, options: AnalyzeOptions): Suspected {
  const { sites, strings } = trace;
  const { result, only } =
    options.order === "shb" ? inFull(trace, options) : bySuspects(trace, asThread(options));
  if (only.isEmpty) return { result: bothReadings(result, null), only };
  const make = (settings: AnalysisSettings): Analysis =>
    new Analysis(asTask(options), { ...settings, only });
  const task = follow({ ...trace, batches: trace.again() }, make, only.last);
  return { result: bothReadings(result, task.finish(sites, strings)), only };
}

/** A result, and the lists with pairs that no protocol orders; null where they were not gathered. */
interface Judged {
  readonly result: AnalysisResult;
  readonly only: Suspects | null;
}

interface Suspected extends Judged {
  readonly only: Suspects;
}

function allLists(): Suspects {
  const all = new Suspects(0);
  all.add({ list: 0, owner: 0 }, NEVER);
  return all;
}

/** The thread reading: the full order of those lists alone of which it is asked, unless that is asked all the time. */
function bySuspects(trace: AgainInput, options: AnalyzeOptions): Suspected {
  const { sites, strings, again } = trace;
  const sanctioned: AnalyzeOptions = { ...options, orders: "sanctioned" };
  let only = new Suspects();
  const ofSanctioned = (settings: AnalysisSettings): Analysis => {
    only = new Suspects(SUSPECTS_MAX, SUSPECT_PARTS_MAX);
    return new Analysis(sanctioned, { ...settings, suspects: only });
  };
  const ofFull = (settings: AnalysisSettings): Analysis =>
    new Analysis({ ...options, policies: [], drains: false }, { ...settings, only });
  try {
    const analysis = follow(trace, ofSanctioned);
    const full = only.isEmpty ? null : follow({ ...trace, batches: again() }, ofFull, only.last);
    return { result: analysis.finish(sites, strings, full), only };
  } catch (error) {
    if (!(error instanceof SuspectsEverywhere)) throw error;
    return inFull({ ...trace, batches: again() }, options);
  }
}

/**
 * The thread reading, with the full order from the start. Where a read orders what comes after it, the task reading needs all
 * reads, too.
 */
function inFull(trace: AgainInput, options: AnalyzeOptions): Suspected {
  const { sites, strings } = trace;
  let only = new Suspects();
  const analysis = follow(trace, (settings) => {
    only = new Suspects(options.order === "shb" ? 0 : SUSPECTS_MAX);
    return new Analysis(asThread(options), { ...settings, suspects: only });
  });
  return { result: analysis.finish(sites, strings), only };
}

/**
 * What `make` makes, fed with the trace up to the event `last` at least: as main knows the run, and by the policies alone that
 * do not rest on a lock, until it turns out that more is needed.
 */
function follow(
  { batches: first, again }: AgainInput,
  make: (settings: AnalysisSettings) => Analysis,
  last = Number.POSITIVE_INFINITY,
): Analysis {
  const awake = new Set<PolicyLock>();
  let clocks: Clocks = "main";
  for (let batches = first; ; batches = again()) {
    const analysis = make({ clocks, awake });
    try {
      feed(analysis, batches, last);
      return analysis;
    } catch (error) {
      if (error instanceof OffMain) clocks = "vectors";
      else if (error instanceof LockTaken) awake.add(error.lock);
      else throw error;
    }
  }
}

/**
 * Judges the lists `only` without some accidental edges; not for ever. A finding may stand for several lists, all of which are
 * among them; and by the order "shb" reads of any list count, so that they are all.
 */
function judgingWithout(trace: AgainInput, options: AnalyzeOptions, only: Suspects): JudgeWithout {
  let events = 0;
  return (left) => {
    if (events > EVENTS_AGAIN_MAX) return null;
    const disableEdges = new Set<EdgeKind>([...(options.disableEdges ?? []), ...left]);
    const isTask = options.reading === "task" || left.has("same-thread");
    const pairs = { ...(isTask ? asTask(options) : asThread(options)), disableEdges };
    try {
      // Main hears of little then, for which its own order (order/main-order.ts) is not made.
      const analysis = new Analysis(pairs, { clocks: "vectors", only });
      feed(analysis, trace.again(), only.last);
      events += analysis.events;
      return analysis.finish(trace.sites, trace.strings);
    } catch (error) {
      // A file that cannot be read any more is no result; without edges a trace can be too much that was not with them, as units or
      // clocks: then the result stands, and that is all that is not said.
      if (!(error instanceof QuiesceError && error.kind === "limit")) throw error;
      return null;
    }
  };
}

/** `analysis` is fed with the events up to the one with the number `last` at least. */
function feed(analysis: Analysis, batches: TraceInput["batches"], last: number): void {
  for (const batch of batches) {
    analysis.feed(batch);
    if (analysis.events > last) break;
  }
}
