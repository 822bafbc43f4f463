// The full order by vector clocks (FastTrack's epochs, with releases as the unit of time), with a component for each context or
// unit: memory is components times what releases, and lists. A clock that others may look at is an immutable snapshot, shared
// until its owner learns something new, so that a release copies nothing. Next to each component stands the label of the edge
// through which the knowledge came, so that the accident that orders two accesses is named without a search.

import { refuseMore } from "../bounds.ts";
import { CLOCK_COMPONENTS_MAX } from "../limits.ts";
import { Clock, type FullOrder, KEEP, type Label, labelOf } from "./full.ts";
import { Snapshot, type SyncPoint } from "./sync-point.ts";

/** While there are no more, a unit that looked at lists keeps its component for itself: others than main may be asked what they know. */
const COMPONENTS_APART = 512;

class VectorClock extends Clock {
  epochs: Int32Array;
  labels: Int32Array;
  /** The clock as others may see it; null since it last learned. */
  snapshot: Snapshot | null = null;

  constructor(id: number, components: number) {
    super(id);
    this.epochs = new Int32Array(components);
    this.labels = new Int32Array(components);
  }
}

export class VectorOrder implements FullOrder {
  readonly #clocks: VectorClock[] = [];
  /** Components of each clock: those that there are, and room for more. */
  #size = 0;

  get size(): number {
    return this.#size;
  }

  begin(id: number, ctx: number): void {
    const clock = this.#clock(id);
    clock.begin(ctx);
    clock.epochs.fill(0);
    clock.labels.fill(0);
    clock.snapshot = null;
  }

  isSettled(id: number): boolean {
    const { accessed } = this.#clock(id);
    if (accessed === 0) return true;
    return this.#size > COMPONENTS_APART && this.known(0, id) >= accessed;
  }

  epochNow(id: number): number {
    return this.#clock(id).access();
  }

  known(who: number, of: number): number {
    const clock = this.#clock(who);
    return who === of ? clock.epoch : (clock.epochs[of] ?? 0);
  }

  labelFor(who: number, of: number): Label {
    const clock = this.#clock(who);
    return who === of ? labelOf("same-thread", clock.owner) : (clock.labels[of] ?? 0);
  }

  release(point: SyncPoint, who: number): void {
    const clock = this.#clock(who);
    if (point.ctx >= 0 && (point.ctx !== who || point.epoch < clock.born)) this.#keepOthers(point);
    clock.snapshot ??= this.#snapshotOf(clock);
    point.epoch = clock.release();
    point.ctx = who;
    point.snapshot = clock.snapshot;
  }

  releaseAlone(point: SyncPoint, who: number): void {
    point.clear();
    this.release(point, who);
  }

  acquire(point: SyncPoint, who: number, label: Label): void {
    if (point.ctx < 0) return;
    const clock = this.#clock(who);
    if (point.more !== null) this.#join(clock, point.more, label);
    // A release's epoch is its component's alone: who knows it knows all that was known there, but not what another unit knew,
    // which had the component before.
    const releaser = this.#clock(point.ctx);
    const isOfUnit = point.epoch >= releaser.born;
    if (point.ctx === who && isOfUnit) return;
    if ((clock.epochs[point.ctx] as number) < point.epoch) {
      clock.epochs[point.ctx] = point.epoch;
      clock.labels[point.ctx] = label === KEEP ? labelOf("same-thread", releaser.owner) : label;
      this.#learned(clock);
    } else if (isOfUnit) return;
    this.#join(clock, point.snapshot as Snapshot, label);
  }

  /** Everything that releases keeps a clock, perhaps one that nobody else has. */
  checkSize(points: number): void {
    if ((this.#size + points) * this.#size > CLOCK_COMPONENTS_MAX)
      refuseMore(CLOCK_COMPONENTS_MAX, "components of clocks in its full order");
  }

  #learned(clock: VectorClock): void {
    clock.snapshot = null;
    clock.learned = true;
  }

  #join(clock: VectorClock, from: Snapshot, label: Label): void {
    const own = clock.id;
    const { epochs, labels } = from;
    for (let i = 0; i < epochs.length; i++) {
      const epoch = epochs[i] as number;
      if (i === own || epoch <= (clock.epochs[i] as number)) continue;
      clock.epochs[i] = epoch;
      clock.labels[i] = label === KEEP ? (labels[i] as number) : label;
      this.#learned(clock);
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

  #snapshotOf(clock: VectorClock): Snapshot {
    const snapshot = new Snapshot(this.#size);
    snapshot.epochs.set(clock.epochs);
    snapshot.labels.set(clock.labels);
    return snapshot;
  }

  #clock(id: number): VectorClock {
    return this.#clocks[id] ?? this.#add(id);
  }

  #add(id: number): VectorClock {
    // Doubled, since every clock is copied.
    while (this.#size <= id) this.#size = Math.max(4, this.#size * 2);
    for (const clock of this.#clocks) {
      if (clock.epochs.length >= this.#size) continue;
      clock.epochs = enlarged(clock.epochs, this.#size);
      clock.labels = enlarged(clock.labels, this.#size);
      clock.snapshot = null;
    }
    for (let i = this.#clocks.length; i <= id; i++)
      this.#clocks.push(new VectorClock(i, this.#size));
    return this.#clocks[id] as VectorClock;
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
