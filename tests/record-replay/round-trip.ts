// The round trip that shows that replay is exact: record a run in full, strip the recording to its inputs, replay the inputs
// (and the full recording), and compare the regenerated full recording with the first one, byte for byte.

import {
  inputsOf,
  type RecordedRun,
  type RecordOptions,
  recordTwice,
  type Scenario,
  worldBuilder,
} from "#explorer";
import { type ReplayReport, replayTrace } from "#replay";
import { MemorySink, Recorder } from "#tracer";
import { bytesSource, headerWithLevel, TraceReader } from "#traces";

/** What the round trip of one recording showed. */
export interface RoundTrip {
  readonly events: number;
  readonly inputs: number;
  readonly outcome: string;
  /** Empty when all is well; else what went wrong. */
  readonly problem: string;
}

/** Record `scenario` simulated, twice, and take it through the round trip. */
export function roundTrip(scenario: Scenario, options: RecordOptions): RoundTrip {
  const recorded: RecordedRun = recordTwice(scenario, { ...options, level: "full" });
  return { outcome: recorded.outcome, ...roundTripOf(scenario, recorded.bytes) };
}

/** Take a full recording of `scenario` through the round trip. */
export function roundTripOf(scenario: Scenario, full: Uint8Array): Omit<RoundTrip, "outcome"> {
  const inputs = inputsOf(full);
  const fromInputs = replayBytes(scenario, inputs);
  const fromFull = replayBytes(scenario, full);
  const counts = { events: fromInputs.report.events, inputs: fromInputs.report.compared };
  for (const [level, { report, bytes }] of [
    ["inputs", fromInputs],
    ["full", fromFull],
  ] as const) {
    const problem = problemOf(level, report, bytes, full);
    if (problem !== "") return { ...counts, problem };
  }
  return { ...counts, problem: "" };
}

function problemOf(
  level: string,
  report: ReplayReport,
  bytes: Uint8Array,
  full: Uint8Array,
): string {
  if (!report.identical) {
    const { index, expected, actual } = report.divergence ?? {
      index: 0,
      expected: "?",
      actual: "?",
    };
    return `replay of the ${level} recording diverged at ${index}: recorded ${expected}, replayed ${actual}`;
  }
  if (!report.complete) return `the ${level} recording breaks off`;
  if (Buffer.compare(bytes, full) !== 0)
    return `replay of the ${level} recording regenerated other bytes`;
  return "";
}

/** Replay a recording of `scenario`; `bytes` is the full recording that replay regenerated. */
export function replayBytes(
  scenario: Scenario,
  recording: Uint8Array,
): { readonly report: ReplayReport; readonly bytes: Uint8Array } {
  const reader = TraceReader.open(bytesSource(recording));
  const sink = new MemorySink(headerWithLevel(reader.header, "full"));
  const recorder = new Recorder(sink);
  const report = replayTrace(reader, { buildWorld: worldBuilder(() => scenario), recorder });
  recorder.close();
  return { report, bytes: sink.bytes() };
}
