// The full order: everything that happened to order events in this run, whether or not any protocol promises it. It contains
// the sanctioned order, since each of its edges is given here too.
//
// Lists are judged, not trusted: a read that saw an edit does not come after it because of that, in either order, unless
// schedulable happens-before is asked for (conflicts/seen-edits.ts). Without it, a pair behind a race may be one because of it.
// Time has a component a context (the chains of this engine), or one a unit under the task reading (units.ts); its epochs grow
// at releases, which are many, and not at accesses.
//
// Used for one question: a pair that the protocol does not order, is it ordered by an accident, and by which? An edge that
// the protocol sanctions is not the accident: what comes through it keeps the label with which it was released, and a
// context's own doings are released as "same thread".
//
// Two engines answer it. MainOrder (main-order.ts) is quick, and knows what main knows, and what is known of main: all that a
// run asks in which only main edits. VectorOrder (vector-order.ts) knows everything, by vector clocks.

import type { AccidentalEdge } from "../edge-kinds.ts";
import { ACCIDENTAL_EDGES } from "../edge-kinds.ts";
import type { SyncPoint } from "./sync-point.ts";

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

/** Component of the main context. */
export const MAIN = 0;

/** The clock of a component: what both engines keep of it. */
export class Clock {
  readonly id: number;
  /** Own time: grows at the first access after a release. */
  epoch = 1;
  released = false;
  /** Whether it learned something since its last release. */
  learned = true;
  /** Its first epoch: what was released earlier is another unit's, which had the component before. */
  born = 0;
  /** Its latest epoch in which it looked at a list; 0 for none since it began. */
  accessed = 0;
  /** Context that it is of: its own number under the thread reading. */
  owner: number;

  constructor(id: number) {
    this.id = id;
    this.owner = id;
  }

  /** Is a unit of `ctx` that begins, and knows nothing. */
  begin(ctx: number): void {
    this.owner = ctx;
    this.epoch++;
    this.born = this.epoch;
    this.released = false;
    this.learned = true;
    this.accessed = 0;
  }

  /** Time of an access that happens now. */
  access(): number {
    if (this.released) {
      this.released = false;
      this.epoch++;
    }
    this.accessed = this.epoch;
    return this.epoch;
  }

  /** Time of a release that happens now: an epoch stands for one state of what the releaser knows. */
  release(): number {
    if (this.learned && this.released) this.epoch++;
    this.learned = false;
    this.released = true;
    return this.epoch;
  }
}

/** The full order, as a run goes on. Components are numbered from 0, which is main. */
export interface FullOrder {
  /** How many components there are. */
  readonly size: number;
  /** Component `id` is for a unit of `ctx` that begins and knows nothing (units.ts). */
  begin(id: number, ctx: number): void;
  /** Whether another unit may have component `id`: the one that had it looked at no list, or main knows all that it did. */
  isSettled(id: number): boolean;
  /** Time of the access that happens now in `id`: what another must know to be after it. */
  epochNow(id: number): number;
  /** How much of component `of` is known to `who`: all its epochs up to this one. Throws OffMain where it cannot tell. */
  known(who: number, of: number): number;
  /** Through what `who` knows of component `of`. */
  labelFor(who: number, of: number): Label;
  /** `who` releases into `point`, which keeps what others released before. */
  release(point: SyncPoint, who: number): void;
  /** As release, but what others released before is forgotten: a lock, whose holder has acquired it. */
  releaseAlone(point: SyncPoint, who: number): void;
  /** `who` acquires what was released into `point`, through an edge called `label`. */
  acquire(point: SyncPoint, who: number, label: Label): void;
  /** Refuses a trace, or throws OffMain, if what `points` and clocks keep is too much. */
  checkSize(points: number): void;
}

/** What two iothreads know of one another was asked, which MainOrder does not follow: the run has to be looked at with a VectorOrder. */
export class OffMain extends Error {
  constructor() {
    super("What two contexts other than main know of one another was asked.");
    this.name = "OffMain";
  }
}
