// Recording a simulated run in memory, and doing so twice: two runs of one seed are equal byte for byte, or something in them
// does not come through the door (design D4).

import { assert } from "#core/base";
import { MemorySink, Recorder } from "#tracer";
import {
  bytesSource,
  FORMAT_VERSION,
  headerWithLevel,
  MemoryBytes,
  stripToInputs,
  type TraceProvenance,
  TraceReader,
  TraceWriter,
} from "#traces";
import { headerOf, type RunOptions, runScenario, type SimulatedRun } from "./run-scenario.ts";
import type { Scenario } from "./scenario.ts";
import type { SchedulerName } from "./schedulers/index.ts";
import type { DiskOptions } from "./simulated-disk.ts";

/** Provenance of recordings that stay in memory: it is outside comparison, so it says nothing. */
const NOWHERE: TraceProvenance = { createdAt: "", host: "", node: "", quiesce: "" };

/** What is recorded, and how. */
export interface RecordOptions extends RunOptions {
  readonly level?: "inputs" | "full";
  readonly scheduler?: SchedulerName;
  readonly disk?: DiskOptions;
}

/** A recorded run: the trace file's bytes, and how the run ended. */
export interface RecordedRun extends SimulatedRun {
  readonly bytes: Uint8Array;
  readonly events: number;
}

/** Run `scenario` simulated and record it in memory. */
export function recordScenario(scenario: Scenario, options: RecordOptions): RecordedRun {
  const level = options.level ?? "full";
  const header = headerOf(scenario, options, {
    host: "simulated",
    level,
    coreVersion: "",
    formatVersion: FORMAT_VERSION,
    provenance: NOWHERE,
  });
  const sink = new MemorySink(header);
  const recorder = new Recorder(sink, { level });
  const run = runScenario(scenario, { ...options, probe: recorder });
  recorder.close();
  return { ...run, bytes: sink.bytes(), events: recorder.events };
}

/** Record twice, assert that the bytes are equal, and return one of the two. */
export function recordTwice(scenario: Scenario, options: RecordOptions): RecordedRun {
  const first = recordScenario(scenario, options);
  const second = recordScenario(scenario, options);
  assert(first.outcome === second.outcome, "two runs of one seed end the same way");
  assert(first.events === second.events, "two runs of one seed have as many events");
  assert(sameBytes(first.bytes, second.bytes), "two runs of one seed are equal byte for byte");
  return first;
}

/** The recording `bytes` with its inputs only. */
export function inputsOf(bytes: Uint8Array): Uint8Array {
  const reader = TraceReader.open(bytesSource(bytes));
  const memory = new MemoryBytes();
  stripToInputs(reader, new TraceWriter(headerWithLevel(reader.header, "inputs"), memory));
  return memory.bytes();
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
