// A whole trace at once, in one pass where that can be. Few runs ask what two contexts other than main know of one another, and
// few take a lock that a policy rests on: those are read again (order/full.ts, policies/asleep.ts). And few pairs are such that
// the task reading could judge them in another way than the thread reading: a trace is read for them alone, and only if there
// are any (conflicts/suspects.ts).

import { QuiesceError } from "#core/base";
import { LIST_KINDS } from "#core/probe";
import { Analysis } from "./analysis.ts";
import { Suspects } from "./conflicts/suspects.ts";
import type { EdgeKind } from "./edge-kinds.ts";
import type { AnalysisResult, Finding } from "./findings.ts";
import type { AnalysisSettings, AnalyzeOptions, Clocks, TraceInput } from "./input.ts";
import { EVENTS_AGAIN_MAX, SUSPECTS_MAX } from "./limits.ts";
import { oncePerFingerprint } from "./once.ts";
import { OffMain } from "./order/full.ts";
import { LockTaken, type PolicyLock } from "./policies/asleep.ts";
import { bothReadings } from "./readings.ts";
import { type JudgeWithout, withSmallestEdges } from "./smallest-edges.ts";

/** A trace that can be read again. */
type AgainInput = TraceInput & Required<Pick<TraceInput, "again">>;

/** Analyse a whole trace. */
export function analyze(trace: TraceInput, options: AnalyzeOptions = {}): AnalysisResult {
  const result =
    options.reading === "both"
      ? bothOf(trace, options)
      : judge(trace, (settings) => new Analysis(options, settings));
  const { again } = trace;
  return oncePerFingerprint(
    options.smallestEdges === true && again !== undefined
      ? withSmallestEdges(result, judgingWithout({ ...trace, again }, options, result.findings))
      : result,
  );
}

/**
 * The result of what `make` makes. A trace that can be read again is judged as main knows the run, by the policies alone that do
 * not rest on a lock, until it turns out that more is needed; up to event `last`, or to its end.
 */
function judge(
  trace: TraceInput,
  make: (settings: AnalysisSettings) => Analysis,
  last?: number,
): AnalysisResult {
  const { again } = trace;
  if (again === undefined) return feed(trace, make({}));
  const awake = new Set<PolicyLock>();
  let clocks: Clocks = "main";
  for (let { batches } = trace; ; batches = again()) {
    try {
      return feed({ ...trace, batches }, make({ clocks, awake }), last);
    } catch (error) {
      if (error instanceof OffMain) clocks = "vectors";
      else if (error instanceof LockTaken) awake.add(error.lock);
      else throw error;
    }
  }
}

/** `analysis` of the events up to the one with the number `last` at least. */
function feed(
  { batches, sites, strings }: TraceInput,
  analysis: Analysis,
  last = Number.POSITIVE_INFINITY,
): AnalysisResult {
  for (const batch of batches) {
    analysis.feed(batch);
    if (analysis.events > last) break;
  }
  return analysis.finish(sites, strings);
}

function bothOf(trace: TraceInput, options: AnalyzeOptions): AnalysisResult {
  const { again } = trace;
  // Without some edge, what a protocol orders may not be ordered by units, so that any list is suspect.
  const isWhole = (options.disableEdges?.size ?? 0) === 0;
  return again === undefined || !isWhole
    ? sideBySide(trace, options)
    : oneAfterTheOther({ ...trace, again }, options);
}

/** Both readings of a trace that can be read but once. */
function sideBySide(trace: TraceInput, options: AnalyzeOptions): AnalysisResult {
  const { batches, sites, strings } = trace;
  const byThread = new Analysis(asThread(options));
  const byTask = new Analysis(asTask(options));
  for (const batch of batches) {
    byThread.feed(batch);
    byTask.feed(batch);
  }
  return bothReadings(byThread.finish(sites, strings), byTask.finish(sites, strings));
}

/**
 * Both readings: the second one of those lists alone that it may judge in another way, and not at all if there are none. Where
 * a read orders what comes after it, all reads belong to the second reading, too.
 */
function oneAfterTheOther(trace: AgainInput, options: AnalyzeOptions): AnalysisResult {
  const suspects = (): Suspects => new Suspects(options.order === "shb" ? 0 : SUSPECTS_MAX);
  let only = suspects();
  const thread = judge(trace, (settings) => {
    only = suspects();
    return new Analysis(asThread(options), { ...settings, suspects: only });
  });
  if (only.isEmpty) return bothReadings(thread, null);
  const rest = { ...trace, batches: trace.again() };
  const task = judge(
    rest,
    (settings) => new Analysis(asTask(options), { ...settings, only }),
    only.last,
  );
  return bothReadings(thread, task);
}

/** Judges the lists of those of `findings` that luck covers without some accidental edges; not for ever. */
function judgingWithout(
  trace: AgainInput,
  options: AnalyzeOptions,
  findings: readonly Finding[],
): JudgeWithout {
  const only = new Suspects();
  for (const { list, node, luckyEdge, last } of findings)
    if (luckyEdge !== null && list !== null && node !== null)
      only.add({ list: LIST_KINDS.indexOf(list), owner: node.id }, Math.max(last, only.last));
  let events = 0;
  return (left) => {
    if (events > EVENTS_AGAIN_MAX) return null;
    const disableEdges = new Set<EdgeKind>([...(options.disableEdges ?? []), ...left]);
    const isTask = options.reading === "task" || left.has("same-thread");
    const pairs = { ...(isTask ? asTask(options) : asThread(options)), disableEdges };
    try {
      // Main hears of little then, for which its own order (order/main-order.ts) is not made.
      const analysis = new Analysis(pairs, { clocks: "vectors", only });
      const result = feed({ ...trace, batches: trace.again() }, analysis, only.last);
      events += result.events;
      return result;
    } catch (error) {
      if (!(error instanceof QuiesceError)) throw error;
      return null;
    }
  };
}

function asThread(options: AnalyzeOptions): AnalyzeOptions {
  return { ...options, reading: "thread" };
}

function asTask(options: AnalyzeOptions): AnalyzeOptions {
  return { ...options, reading: "task", policies: [], drains: false };
}
