// Replay: run a recording's scenario again, with every answer of the world taken from the recording, and compare.
//
// The world is built by a function that the caller passes (scenarios live in a higher folder). A run that goes as recorded
// ends as it ended then, its assertion or deadlock included: that is "identical". Otherwise the first difference is named:
// both events, up to a hundred before, and the graph as it stood. A run that fails by a bug where the recording goes on has
// left the recording as well; only where the recording ends, too, is the failure thrown: then it is what was recorded.

import { assert, QuiesceError } from "#core/base";
import { Ev, type EventBatch, type ProbeBase, siteTable } from "#core/probe";
import {
  type Host,
  type Machine,
  SCHEDULER_POLICY,
  type Scheduler,
  withMachine,
} from "#core/sched";
import { formatEvent, type TraceHeader } from "#traces";
import { CheckingProbe, DivergenceSignal } from "./checking-probe.ts";
import { EventCursor } from "./event-cursor.ts";
import type { RecordedTrace } from "./recorded-trace.ts";
import { ReplayedHost } from "./replayed-host.ts";

/** Builds the machine of `header`'s scenario, started, on this host, scheduler and probe. */
export type WorldBuilder = (
  header: TraceHeader,
  parts: { readonly host: Host; readonly scheduler: Scheduler; readonly probe: ProbeBase },
) => Machine;

export interface ReplayOptions {
  readonly buildWorld: WorldBuilder;
  /** Where the regenerated events go, e.g. a recorder that writes a full trace. */
  readonly recorder?: ProbeBase;
  /** The graph of the running machine as text, for a divergence's report. */
  readonly describeGraph?: () => string;
}

/** The first difference between a recording and its replay. */
export interface Divergence {
  /** Position of the event: in a full recording among all events, in an inputs recording among the inputs. */
  readonly index: number;
  /** The recorded event, or why there is none. */
  readonly expected: string;
  /** The event that replay produced, or why it produced none. */
  readonly actual: string;
  /** Up to a hundred recorded events before it, oldest first. */
  readonly before: readonly string[];
  readonly graph: string;
}

export interface ReplayReport {
  readonly identical: boolean;
  /** Events regenerated. */
  readonly events: number;
  /** Recorded events that were compared and found equal. */
  readonly compared: number;
  /** False when the recording breaks off: without a divergence it is identical as far as it goes. */
  readonly complete: boolean;
  readonly divergence?: Divergence;
}

/** How many events before a divergence its report shows. */
const BEFORE_MAX = 100;

/** Re-execute `trace`; see the file comment. QuiesceError for one that was scheduled by another policy. */
export function replayTrace(trace: RecordedTrace, options: ReplayOptions): ReplayReport {
  refuseOtherPolicy(trace.header);
  const full = trace.header.level === "full";
  const compare = new EventCursor(trace, !full);
  const stop = new Stop();
  const host = new ReplayedHost(compare, (why) => stop.throwBecause(why));
  const probe = new CheckingProbe(trace, compare, options.recorder ?? null);
  let graph = "";
  let ran: RunEnd;
  try {
    const machine = options.buildWorld(trace.header, { host, scheduler: host, probe });
    ran = run(machine, (error) => {
      if (!(error instanceof DivergenceSignal)) stop.failed(error, compare);
      graph = withMachine(machine, () => options.describeGraph?.() ?? "");
    });
  } catch (error) {
    if (!(error instanceof DivergenceSignal)) throw error;
    ran = "diverged";
  }
  const ended = { events: probe.events, compared: compare.passed };
  const brokeOff = compare.done && ran !== "ended";
  if (brokeOff) return { identical: true, ...ended, complete: false };
  if (ran === "ended" && compare.done) return { identical: true, ...ended, complete: true };
  const divergence = describe(trace, compare, probe, stop.why, ran, graph);
  return { identical: false, ...ended, complete: endsWithRunEnd(trace), divergence };
}

/** Only choices that differ from the default policy were recorded: under another one they say nothing. */
function refuseOtherPolicy({ schedulerPolicy }: TraceHeader): void {
  if (schedulerPolicy === SCHEDULER_POLICY) return;
  throw new QuiesceError(
    "input",
    `The recording was scheduled by policy ${schedulerPolicy} and this quiesce knows policy ${SCHEDULER_POLICY} only: replay it with the version that recorded it.`,
  );
}

/** Whether the recording is of a whole run. */
function endsWithRunEnd(trace: RecordedTrace): boolean {
  let last = 0;
  for (const batch of trace.batches()) if (batch.count > 0) last = batch.kind(batch.count - 1);
  return last === Ev.run_end;
}

type RunEnd = "ended" | "diverged";

function run(machine: Machine, onDivergence: (error: unknown) => void): RunEnd {
  try {
    const outcome = machine.run();
    assert(outcome !== "wait", "a replayed host never waits");
    return "ended";
  } catch (error) {
    onDivergence(error);
    return "diverged";
  }
}

/** Why the replayed run could not go on, for the report. */
class Stop {
  why = "";

  /** The run failed, and not by a difference: that is one if the recording goes on here, else the failure is thrown. */
  failed(error: unknown, recorded: EventCursor): void {
    if (recorded.done || error instanceof QuiesceError) throw error;
    const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    this.why = `the replayed run failed: ${text}`;
  }

  throwBecause(why: string): never {
    this.why = why;
    throw new DivergenceSignal(why);
  }
}

function describe(
  trace: RecordedTrace,
  compare: EventCursor,
  probe: CheckingProbe,
  why: string,
  ran: RunEnd,
  graph: string,
): Divergence {
  const index = compare.passed;
  const names = { strings: trace.strings, sites: trace.header.sites };
  const { before, expected } = lookBack(trace, index, names);
  let actual: string;
  if (ran === "ended") actual = "(the replayed run has ended)";
  else if (why !== "") actual = `(${why})`;
  else actual = formatEvent(probe.actual, 0, { strings: probe.strings, sites: siteTable });
  return { index, expected, actual, before, graph };
}

/** The recorded event number `index` and up to BEFORE_MAX before it, as text. */
function lookBack(
  trace: RecordedTrace,
  index: number,
  names: Parameters<typeof formatEvent>[2],
): { before: string[]; expected: string } {
  const cursor = new EventCursor(trace, trace.header.level !== "full");
  const before: string[] = [];
  while (!cursor.done) {
    const line = (): string => formatEvent(cursor.batch as EventBatch, cursor.at, names);
    if (cursor.passed === index) return { before, expected: line() };
    if (cursor.passed >= index - BEFORE_MAX) before.push(line());
    cursor.advance();
  }
  return { before, expected: "(the recording has ended)" };
}
