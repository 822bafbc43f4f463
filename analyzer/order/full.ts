// The full order: everything that happened to order events in this run, whether or not any protocol promises it. Vector
// clocks with a component per context (FastTrack's epochs, with releases as the unit of time). It contains the sanctioned
// order, since each of its edges is given here too.
//
// Lists are judged, not trusted: a read that saw an edit does not come after it because of that, in either order, unless
// schedulable happens-before is asked for (conflicts/seen-edits.ts). Without it, a pair behind a race may be one because of it.
// Components are one a context (the chains of this engine), one a unit under the task reading: memory is contexts times what
// releases, and lists.
//
// Used for one question: a pair that the protocol does not order, is it ordered by an accident, and by which? An edge that
// the protocol sanctions is not the accident: what comes through it keeps the label with which it was released, and a
// context's own doings are released as "same thread".

import type { AccidentalEdge } from "../edge-kinds.ts";
import { ACCIDENTAL_EDGES } from "../edge-kinds.ts";
import { Snapshot, type SyncPoint } from "./sync-point.ts";

/** An accidental edge as a number: its kind, and what it is called after (a lock or context). */
export type Label = number;

const LABEL_KINDS = ACCIDENTAL_EDGES;
const KIND_OF = new Map<AccidentalEdge, number>(LABEL_KINDS.map((kind, index) => [kind, index]));

/** The label of `kind`, named after the object `id` (a lock or a context; 0 when it has no name). */
export function labelOf(kind: AccidentalEdge, id = 0): Label {
  return id * LABEL_KINDS.length + (KIND_OF.get(kind) as number);
}

/** The kind of a label. */
export function labelKind(label: Label): AccidentalEdge {
  return LABEL_KINDS[label % LABEL_KINDS.length] as AccidentalEdge;
}

/** What a label is named after. */
export function labelId(label: Label): number {
  return Math.floor(label / LABEL_KINDS.length);
}

/** Label that says: the edge is sanctioned, keep what was released. */
export const KEEP: Label = -1;

class ContextClock {
  readonly id: number;
  /** Own time: grows at the first access after a release. */
  epoch = 1;
  released = false;
  /** Its first epoch: what was released earlier is another unit's, which had the component before. */
  born = 0;
  /** Whether it looked at a list since it began. */
  accessed = false;
  /** Context that it is of: its own number under the thread reading. */
  owner: number;
  epochs: Int32Array;
  labels: Int32Array;
  /** The clock as others may see it; null since it last learned. */
  snapshot: Snapshot | null = null;

  constructor(id: number, contexts: number) {
    this.id = id;
    this.owner = id;
    this.epochs = new Int32Array(contexts);
    this.labels = new Int32Array(contexts);
  }
}

export class FullOrder {
  readonly #contexts: ContextClock[] = [];
  #size = 0;

  /** Component `id` is for a unit of `ctx` that begins and knows nothing (units.ts). */
  begin(id: number, ctx: number): void {
    const clock = this.#clock(id);
    clock.owner = ctx;
    clock.epoch++;
    clock.born = clock.epoch;
    clock.released = false;
    clock.accessed = false;
    clock.epochs.fill(0);
    clock.labels.fill(0);
    clock.snapshot = null;
  }

  /** Whether the unit of component `id` looked at no list, or main knows all that it did. */
  isSettled(id: number): boolean {
    const clock = this.#clock(id);
    return !clock.accessed || this.known(0, id) >= clock.epoch;
  }

  /** Components of a clock: contexts, and room for more. */
  get size(): number {
    return this.#size;
  }

  /** Time of the access that happens now in `ctx`: what another context must know to be after it. */
  epochNow(ctx: number): number {
    const clock = this.#clock(ctx);
    clock.accessed = true;
    if (clock.released) {
      clock.released = false;
      clock.epoch++;
    }
    return clock.epoch;
  }

  /** How much of context `of` is known to `ctx`: all its epochs up to this one. */
  known(ctx: number, of: number): number {
    const clock = this.#clock(ctx);
    return clock.id === of ? clock.epoch : (clock.epochs[of] ?? 0);
  }

  /** Through what `ctx` knows of context `of`. */
  labelFor(ctx: number, of: number): Label {
    const clock = this.#clock(ctx);
    return clock.id === of ? labelOf("same-thread", clock.owner) : (clock.labels[of] ?? 0);
  }

  /** `ctx` releases into `point`, which keeps what others released before. */
  release(point: SyncPoint, ctx: number): void {
    const clock = this.#clock(ctx);
    if (point.ctx >= 0 && point.ctx !== clock.id) this.#keepOthers(point);
    if (clock.snapshot === null) {
      // It learned something since its last release: an epoch stands for one snapshot.
      if (clock.released) clock.epoch++;
      clock.snapshot = this.#snapshotOf(clock);
    }
    point.ctx = clock.id;
    point.epoch = clock.epoch;
    point.snapshot = clock.snapshot;
    clock.released = true;
  }

  /** As release, but what others released before is forgotten: a lock, whose holder has acquired it. */
  releaseAlone(point: SyncPoint, ctx: number): void {
    point.more = null;
    point.ctx = -1;
    this.release(point, ctx);
  }

  /** `ctx` acquires what was released into `point`, through an edge called `label`. */
  acquire(point: SyncPoint, ctx: number, label: Label): void {
    if (point.ctx < 0) return;
    const clock = this.#clock(ctx);
    if (point.more !== null) this.#join(clock, point.more, label);
    // A release's epoch is its context's alone: who knows it knows all that was known there.
    if (point.ctx === clock.id && point.epoch >= clock.born) return;
    if ((clock.epochs[point.ctx] as number) >= point.epoch) return;
    clock.epochs[point.ctx] = point.epoch;
    clock.labels[point.ctx] =
      label === KEEP ? labelOf("same-thread", this.#clock(point.ctx).owner) : label;
    clock.snapshot = null;
    this.#join(clock, point.snapshot as Snapshot, label);
  }

  /** The sum of what was released into some points, `point` now among them; `sum` is the sum of the others, and may change. */
  gather(sum: Snapshot | null, point: SyncPoint): Snapshot {
    let into = sum ?? new Snapshot(this.#size);
    if (into.epochs.length < this.#size) {
      into = new Snapshot(this.#size);
      if (sum !== null) raiseAll(into, sum);
    }
    if (point.more !== null) raiseAll(into, point.more);
    if (point.ctx < 0 || (into.epochs[point.ctx] as number) >= point.epoch) return into;
    raiseAll(into, point.snapshot as Snapshot);
    raise(into, point.ctx, point.epoch, labelOf("same-thread", this.#clock(point.ctx).owner));
    return into;
  }

  /** `ctx` acquires a sum of points, through an edge called `label`. */
  acquireAll(sum: Snapshot, ctx: number, label: Label): void {
    this.#join(this.#clock(ctx), sum, label);
  }

  #join(clock: ContextClock, from: Snapshot, label: Label): void {
    const own = clock.id;
    const { epochs, labels } = from;
    for (let i = 0; i < epochs.length; i++) {
      const epoch = epochs[i] as number;
      if (i === own || epoch <= (clock.epochs[i] as number)) continue;
      clock.epochs[i] = epoch;
      clock.labels[i] = label === KEEP ? (labels[i] as number) : label;
      clock.snapshot = null;
    }
  }

  /** Join what the last releaser knew into `more`, which nobody shares: somebody else is about to release. */
  #keepOthers(point: SyncPoint): void {
    const last = point.snapshot as Snapshot;
    if (point.more === null || point.more.epochs.length < this.#size) {
      const larger = new Snapshot(this.#size);
      if (point.more !== null) raiseAll(larger, point.more);
      point.more = larger;
    }
    raiseAll(point.more, last);
    raise(point.more, point.ctx, point.epoch, labelOf("same-thread", this.#clock(point.ctx).owner));
  }

  #snapshotOf(clock: ContextClock): Snapshot {
    const snapshot = new Snapshot(this.#size);
    snapshot.epochs.set(clock.epochs);
    snapshot.labels.set(clock.labels);
    return snapshot;
  }

  #clock(id: number): ContextClock {
    return this.#contexts[id] ?? this.#addContext(id);
  }

  #addContext(id: number): ContextClock {
    // Doubled, since every clock is copied.
    while (this.#size <= id) this.#size = Math.max(4, this.#size * 2);
    for (const clock of this.#contexts) {
      if (clock.epochs.length >= this.#size) continue;
      clock.epochs = enlarged(clock.epochs, this.#size);
      clock.labels = enlarged(clock.labels, this.#size);
      clock.snapshot = null;
    }
    for (let i = this.#contexts.length; i <= id; i++)
      this.#contexts.push(new ContextClock(i, this.#size));
    return this.#contexts[id] as ContextClock;
  }
}

function raiseAll(snapshot: Snapshot, from: Snapshot): void {
  for (let i = 0; i < from.epochs.length; i++) {
    raise(snapshot, i, from.epochs[i] as number, from.labels[i] as number);
  }
}

function raise(snapshot: Snapshot, index: number, epoch: number, label: Label): void {
  if (epoch <= (snapshot.epochs[index] as number)) return;
  snapshot.epochs[index] = epoch;
  snapshot.labels[index] = label;
}

function enlarged(array: Int32Array, size: number): Int32Array {
  const larger = new Int32Array(size);
  larger.set(array);
  return larger;
}
