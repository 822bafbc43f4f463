// Recording is cheap: ns an event into the ring, ns and bytes an event in a file, what a recorded run costs more than one
// that is not; bench/recording.md. `npm run bench -- recording -- FILE` takes the events of a recording instead of the demo's.

import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Ev, EventBatch, IS_INPUT, NullProbe, type ProbeBase, WORDS_PER_EVENT } from "#core/probe";
import { LiveHost, runLive } from "#daemon";
import { prepareRun, recordScenario, runScenario, SCENARIOS, schedulerNamed } from "#explorer";
import { FileSink, MemorySink, Recorder, RingSink } from "#tracer";
import {
  CODECS,
  type Codec,
  eventsPerChunkDefault,
  fdSource,
  headerWithLevel,
  MemoryBytes,
  stripToInputs,
  type TraceHeader,
  TraceReader,
  TraceWriter,
} from "#traces";
import { bestNs, bestNsOfSteps, type Figures, median, printFigures } from "./recording/measure.ts";

const ROUNDS = 40;
const SEED = 5;

const demo = SCENARIOS.find(({ name }) => name === "demo");
if (demo === undefined) throw new Error("the demo is built in");
const args = process.argv.slice(2).filter((arg) => arg !== "--json");

/** All events of a trace, in memory. */
interface Events {
  readonly header: TraceHeader;
  readonly batches: readonly EventBatch[];
  readonly strings: readonly string[];
  readonly count: number;
}

const events = load(args[0]);
const figures: Figures = {
  ...hotPath(events),
  ...file(events),
  ...(args[0] === undefined ? { ...wholeRuns(), ...(await liveRuns()) } : {}),
};
const stored = JSON.parse(readFileSync("bench/baseline/recording.json", "utf8")) as Figures;
process.stdout.write(`${args[0] ?? "the demo, simulated"}: ${events.count} events\n`);
printFigures(figures, stored);
if (process.argv.includes("--json")) process.stdout.write(`${JSON.stringify(figures, null, 2)}\n`);

// ---- The recorder's hot path -----------------------------------------------------------------------------------------

/** Emits events once more, less the loop that makes the arguments; each variant in a process of its own. */
function hotPath(all: Events): Figures {
  const folder = mkdtempSync(join(tmpdir(), "quiesce-bench-"));
  const path = join(folder, "trace");
  writeFileSync(path, write(all, "none"));
  const program = fileURLToPath(new URL("./recording/hot-path.js", import.meta.url));
  const time = (variant: string) =>
    Math.min(
      ...Array.from({ length: 3 }, () =>
        Number(execFileSync(process.execPath, [program, path, variant], { encoding: "utf8" })),
      ),
    );
  const heard = time("heard");
  const bare = time("bare") - heard;
  const ring = time("ring") - heard;
  const found = {
    "ns an event: the loop that makes the arguments": heard,
    "ns an event: six stores and no more": bare,
    "ns an event into the ring": ring,
    "into the ring / six stores": ring / bare,
    "ns an event into the ring, one clock reading for 16": time("clock") - heard,
    "ns an event, level inputs": time("inputs") - heard,
    "ns an event, recording off": time("off") - heard,
  };
  rmSync(folder, { recursive: true });
  return found;
}

// ---- The file --------------------------------------------------------------------------------------------------------

/** Bytes an event and a request; the time to write and to read, against adding up the words of all events. */
function file(all: Events): Figures {
  const requests = countOf(all, (kind) => kind === Ev.req_begin);
  const inputs = inputsOf(all);
  const yardstick =
    bestNs(all.batches.length, ROUNDS, (piece) => addUp(all.batches[piece])) / all.count;
  const figures: Figures = {
    "events a request": all.count / requests,
    "bytes a request, level full": write(all, "deflate").length / requests,
    "bytes a request, level inputs": inputs.length / requests,
    "ns an event: adding up its words": yardstick,
  };
  for (const codec of CODECS) {
    const bytes = write(all, codec);
    const writing =
      bestNsOfSteps(ROUNDS, () => writeInSteps(all, codec, new MemoryBytes())) / all.count;
    const reading = bestNsOfSteps(ROUNDS, () => TraceReader.open(bytes).batches()) / all.count;
    figures[`bytes an event, ${codec}`] = bytes.length / all.count;
    figures[`ns an event to write, ${codec}`] = writing;
    figures[`ns an event to read, ${codec}`] = reading;
    figures[`to read / adding up, ${codec}`] = reading / yardstick;
  }
  return figures;
}

function write(all: Events, codec: Codec): Uint8Array {
  const bytes = new MemoryBytes();
  for (const _ of writeInSteps(all, codec, bytes));
  return bytes.bytes();
}

/** Writes the events, a batch at each step. */
function* writeInSteps(
  all: Events,
  codec: Codec,
  to: MemoryBytes,
): Generator<void, void, undefined> {
  const writer = new TraceWriter(all.header, to, { codec });
  for (const batch of all.batches) {
    writer.writeBatch(batch, all.strings);
    yield;
  }
  writer.finish();
}

function readAll(bytes: Uint8Array): number {
  const reader = TraceReader.open(bytes);
  for (const batch of reader.batches()) if (batch.count === 0) throw new Error("an empty batch");
  return reader.events;
}

function inputsOf(all: Events): Uint8Array {
  const sink = new MemoryBytes();
  const header = headerWithLevel(all.header, "inputs");
  stripToInputs(TraceReader.open(write(all, "none")), new TraceWriter(header, sink));
  if (readAll(sink.bytes()) !== countOf(all, (kind) => IS_INPUT[kind] === 1)) {
    throw new Error("stripping keeps the inputs");
  }
  return sink.bytes();
}

/** The yardstick: every word of every event once. In small calls, which the engine compiles sooner than a long loop. */
function addUp(batch: EventBatch | undefined): number {
  const words = (batch?.count ?? 0) * WORDS_PER_EVENT;
  let total = 0;
  for (let from = 0; batch !== undefined && from < words; from += 1024) {
    total ^= sum(batch.ints, from, Math.min(words, from + 1024));
  }
  return total;
}

function sum(ints: Int32Array, from: number, to: number): number {
  let total = 0;
  for (let i = from; i < to; i++) total = (total + Math.imul(ints[i] as number, 31)) | 0;
  return total;
}

// ---- Whole runs ------------------------------------------------------------------------------------------------------

/** The demo on the simulated host, which does nothing but compute: with real files recording weighs less. */
function wholeRuns(): Figures {
  const scenario = demo;
  if (scenario === undefined) return {};
  const run = (probe: ProbeBase) => runScenario(scenario, { seed: SEED, probe });
  const recorded = (level: "inputs" | "full") => {
    const recorder = new Recorder(new MemorySink(headerWithLevel(events.header, level)), { level });
    run(recorder);
    recorder.close();
  };
  const off = () => run(new NullProbe());
  return {
    "time of a run, recorded as inputs / not recorded": ratio(() => recorded("inputs"), off),
    "time of a run, recorded in full / not recorded": ratio(() => recorded("full"), off),
    "time of a run, recorded into the ring / not recorded": ratio(
      () => run(new Recorder(new RingSink(1 << 16))),
      off,
    ),
  };
}

/** How much longer `one` takes than `other`: the median of runs in turn. */
function ratio(one: () => unknown, other: () => unknown): number {
  const ratios = Array.from({ length: 15 }, () => bestNs(1, 1, one) / bestNs(1, 1, other));
  return median(ratios);
}

/** The demo with real files and real time: what a production system would notice. */
async function liveRuns(): Promise<Figures> {
  const folder = mkdtempSync(join(tmpdir(), "quiesce-bench-"));
  const recorded = async (level: "inputs" | "full") => {
    const fd = openSync(join(folder, "trace"), "w");
    const sink = new FileSink(fd, headerWithLevel(events.header, level));
    const recorder = new Recorder(sink, { level });
    const ns = await runLiveOnce(recorder, folder);
    const from = process.hrtime.bigint();
    recorder.close();
    closeSync(fd);
    return ns + Number(process.hrtime.bigint() - from);
  };
  const inputs: number[] = [];
  const full: number[] = [];
  const offs: number[] = [];
  for (let round = 0; round < 9; round++) {
    const off = await runLiveOnce(new NullProbe(), folder);
    offs.push(off);
    inputs.push((await recorded("inputs")) / off);
    full.push((await recorded("full")) / off);
  }
  rmSync(folder, { recursive: true });
  return {
    "ms of a live run, not recorded": median(offs) / 1e6,
    "time of a live run, recorded as inputs / not recorded": median(inputs),
    "time of a live run, recorded in full / not recorded": median(full),
  };
}

/** Nanoseconds that the demo takes on the live host. */
async function runLiveOnce(probe: ProbeBase, imagesDir: string): Promise<number> {
  if (demo === undefined) throw new Error("the demo is built in");
  const host = new LiveHost();
  const scheduler = schedulerNamed("default", SEED);
  const machine = prepareRun(
    demo,
    { seed: SEED, imagesDir },
    { host, clients: host, scheduler, probe },
  );
  const from = process.hrtime.bigint();
  const outcome = await runLive(machine);
  if (outcome !== "ok") throw new Error(`the live run ended with ${outcome}`);
  return Number(process.hrtime.bigint() - from);
}

// ---- Events ----------------------------------------------------------------------------------------------------------

function load(path: string | undefined): Events {
  if (path === undefined) {
    if (demo === undefined) throw new Error("the demo is built in");
    return collect(TraceReader.open(recordScenario(demo, { seed: SEED }).bytes));
  }
  const fd = openSync(path, "r");
  try {
    return collect(TraceReader.open(fdSource(fd)));
  } finally {
    closeSync(fd);
  }
}

function collect(reader: TraceReader): Events {
  const batches: EventBatch[] = [];
  for (const batch of reader.batches()) {
    const copy = new EventBatch(Math.max(batch.count, eventsPerChunkDefault));
    copy.ints.set(batch.ints.subarray(0, batch.count * WORDS_PER_EVENT));
    copy.count = batch.count;
    batches.push(copy);
  }
  return { header: reader.header, batches, strings: reader.strings, count: reader.events };
}

function countOf({ batches }: Events, counts: (kind: number) => boolean): number {
  let count = 0;
  for (const batch of batches) {
    for (let i = 0; i < batch.count; i++) if (counts(batch.kind(i))) count++;
  }
  return count;
}
