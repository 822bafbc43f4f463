// One measurement of the recorder's hot path, in a process of its own: what the engine has learned of one probe would
// slow down the next. `node hot-path.js TRACE VARIANT` prints ns an event.

import { closeSync, openSync } from "node:fs";
import { EventBatch, NullProbe, ProbeBase } from "#core/probe";
import { Recorder, RingSink } from "#tracer";
import { fdSource, TraceReader } from "#traces";
import { bestNs } from "./measure.ts";

const ROUNDS = 1000;
/** The ring of a flight recorder: 65536 events, 2 MiB. */
const RING_EVENTS = 1 << 16;

/** Uses the arguments and keeps nothing: without a use the engine would not even fetch them. */
class Listener extends ProbeBase {
  #heard = 0;

  override emit(kind: number, a = 0, b = 0, c = 0, d = 0): void {
    this.#heard ^= kind ^ a ^ b ^ c ^ d;
  }

  override emitWide(kind: number, wide: number, a = 0, b = 0, c = 0, d = 0): void {
    this.#heard ^= kind ^ a ^ b ^ c ^ d ^ wide;
  }
}

/** The least that recording could do: six integers into a ring. */
class BareStores extends ProbeBase {
  readonly #ints = new Int32Array(RING_EVENTS * 8);
  #base = 0;

  override emit(kind: number, a = 0, b = 0, c = 0, d = 0): void {
    const ints = this.#ints;
    const base = this.#base;
    ints[base] = kind;
    ints[base + 1] = this.task;
    ints[base + 2] = a;
    ints[base + 3] = b;
    ints[base + 4] = c;
    ints[base + 5] = d;
    this.#base = (base + 8) & (RING_EVENTS * 8 - 1);
  }

  override emitWide(kind: number, _wide: number, a = 0, b = 0, c = 0, d = 0): void {
    this.emit(kind, a, b, c, d);
  }
}

const VARIANTS: Readonly<Record<string, () => ProbeBase>> = {
  off: () => new NullProbe(),
  heard: () => new Listener(),
  bare: () => new BareStores(),
  ring: () => new Recorder(new RingSink(RING_EVENTS)),
  clock: () => new Recorder(new RingSink(RING_EVENTS), { clock: () => performance.now() * 1e6 }),
  inputs: () => new Recorder(new RingSink(RING_EVENTS), { level: "inputs" }),
};

const [path = "", variant = ""] = process.argv.slice(2);
const probe = VARIANTS[variant]?.();
if (probe === undefined) throw new Error(`no variant "${variant}"`);
const batch = someEvents(path);
const ns = bestNs(1, ROUNDS, () => emitAll(batch, probe)) / batch.count;
process.stdout.write(`${ns}\n`);

/** A batch from the middle of the trace. */
function someEvents(file: string): EventBatch {
  const fd = openSync(file, "r");
  const reader = TraceReader.open(fdSource(fd));
  const middle = (reader.index?.events ?? 0) / 2;
  const copy = new EventBatch(1 << 16);
  for (const read of reader.batches()) {
    if (reader.events < middle) continue;
    copy.ints.set(read.ints.subarray(0, read.count << 3));
    copy.count = read.count;
    break;
  }
  closeSync(fd);
  return copy;
}

/** Emits the events once more: the same loop whatever the probe, so that the difference is the probe's. */
function emitAll(events: EventBatch, to: ProbeBase): void {
  const { ints, floats } = events;
  for (let i = 0; i < events.count; i++) {
    const base = i << 3;
    const kind = (ints[base] as number) & 0xff;
    const a = ints[base + 2] as number;
    const b = ints[base + 3] as number;
    const c = ints[base + 4] as number;
    const d = ints[base + 5] as number;
    const wide = floats[(i << 2) + 3] as number;
    if (wide === 0) to.emit(kind, a, b, c, d);
    else to.emitWide(kind, wide, a, b, c, d);
  }
}
