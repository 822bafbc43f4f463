// What somebody knows of the past, in the sanctioned order: all of main up to one event, and some generations of channels.
//
// Requests are many, so none of them has a component in any clock. A request publishes what it did only by releasing into a
// *channel* (an in-flight counter, a gate, a wake-up), and somebody else learns of it only by acquiring from one. Each
// acquire closes the channel's *generation*. So "request r's read is ordered before event e" is "e knows, of some channel
// into which r's task released after the read, the generation of that release". The channels after a read are its
// *signature*; equal signatures are one object, and reads are counted by signature: memory is bounded by lists, sites and
// counters. The main context learns all the time, so a generation keeps the event at which main learned of it (`acq`), and
// who knows main up to an event knows all that main knew then: for a request admitted by a gate that is a single number.
//
//   request in iothread   read A ── dec n1 ─ read B ── dec blk        signatures: A {n1@3, blk@7}  B {blk@7}
//   main                                        └─ drain reads n1 = 0 (closes n1@3: acq = 120) ─ edit: A ordered, B not

import { SyncPoint } from "./sync-point.ts";

/** Signatures that end with one generation and are found again; a few dozen are in use at a time. */
const SIGS_MAX = 128;
/** Generations of a channel that are kept apart without main having acquired one. */
const GENS_MAX = 256;

/** Later than any event. */
export const NEVER = 0x7fffffff;

/** The releases into a channel between two acquires. */
export class Gen {
  /** Event at which main learned of it. */
  acq = NEVER;
  /** Null for a direct hand-over to main (a task that goes on in the main context). */
  readonly channel: Channel | null;
  readonly ordinal: number;
  /** Signatures that end with this generation: the newest one, which leads to the others. Kept here so that they die together. */
  newestSig: Sig | null = null;
  sigs = 0;
  /** The walk (SigWalk) whose signature has it. */
  walk = 0;

  constructor(channel: Channel | null, ordinal: number) {
    this.channel = channel;
    this.ordinal = ordinal;
  }
}

/** A set of generations, as a chain: who knows one of them knows what was done before. */
export class Sig {
  static #count = 0;
  /** Tells it from all others; above 0. */
  readonly id = ++Sig.#count;
  readonly parent: Sig | null;
  readonly gen: Gen | null;
  /** The next older one that ends with the same generation. */
  #older: Sig | null = null;
  #known = NEVER;

  constructor(parent: Sig | null, gen: Gen | null) {
    this.parent = parent;
    this.gen = gen;
  }

  /** Event at which main learned of it, NEVER if it has not. */
  knownToMain(): number {
    if (this.#known !== NEVER) return this.#known;
    let best = NEVER;
    for (let sig: Sig | null = this; sig !== null; sig = sig.parent) {
      if (sig.gen !== null && sig.gen.acq < best) best = sig.gen.acq;
    }
    // Acquires come in the order of events: what main learned first stays the earliest.
    this.#known = best;
    return best;
  }

  /** The signature with `gen`, which it lacks, added: the same object for the same set built in the same order. */
  extend(gen: Gen): Sig {
    const newest = gen.newestSig;
    for (let sig = newest; sig !== null; sig = sig.#older) if (sig.parent === this) return sig;
    // A counter that main never looks at meets ever new generations of others: forget the oldest.
    if (newest !== null && gen.sigs === SIGS_MAX) {
      newest.#forgetOlder(SIGS_MAX / 2);
      gen.sigs = SIGS_MAX / 2;
    }
    const result = new Sig(this, gen);
    result.#older = newest;
    gen.newestSig = result;
    gen.sigs++;
    return result;
  }

  /** Keeps `kept`, with this one, of those that end with its generation. */
  #forgetOlder(kept: number): void {
    let last: Sig = this;
    for (let i = 1; i < kept; i++) last = last.#older ?? last;
    last.#older = null;
  }

  /** The channels, latest release first. */
  channels(): Channel[] {
    const found: Channel[] = [];
    for (let sig: Sig | null = this; sig !== null; sig = sig.parent) {
      if (sig.gen !== null && sig.gen.channel !== null) found.push(sig.gen.channel);
    }
    return found;
  }
}

/** A signature that grows along a walk: a generation that it has already is known by its stamp, however many there are. */
export class SigWalk {
  static #walks = 0;
  #walk = 0;
  sig: Sig;

  constructor(start: Sig) {
    this.sig = start;
    this.restart(start);
  }

  /** Another walk, from `start`. */
  restart(start: Sig): void {
    this.#walk = ++SigWalk.#walks;
    this.sig = start;
    for (let at: Sig | null = start; at !== null; at = at.parent)
      if (at.gen !== null) at.gen.walk = this.#walk;
  }

  /** Adds `gen`; returns whether the signature lacked it. */
  add(gen: Gen): boolean {
    if (gen.walk === this.#walk) return false;
    gen.walk = this.#walk;
    this.sig = this.sig.extend(gen);
    return true;
  }
}

/** Generations known of channels, by channel: the newest one; all before it are known too. */
export type Extra = Map<Channel, number>;

/** What an actor, or a channel, knows. */
export interface Knowledge {
  /** Main is known up to this event (-1: nothing). */
  p: number;
  /** What is known of channels without main's help; null for nothing, as nearly always. */
  extra: Extra | null;
}

/** What a channel is, for reports. */
export type ChannelKind =
  | "node-counter"
  | "blk-counter"
  | "gate"
  | "queue-wake"
  | "external"
  | "job-resume"
  | "job-idle"
  | "wrapper-begin"
  | "wrapper-end"
  | "context-join";

/** Where releases meet acquires. */
export class Channel implements Knowledge {
  p = -1;
  extra: Extra | null = null;
  readonly kind: ChannelKind;
  /** Node, BlockBackend, job, context or coroutine. */
  readonly id: number;
  /** Takes the releases of tasks; null when none was made since the last acquire. */
  open: Gen | null = null;
  ordinal = 0;
  /** Generations that main does not know. */
  readonly unacquired: Gen[] = [];
  /** The same channel in the full order. */
  readonly sync = new SyncPoint();

  constructor(kind: ChannelKind, id: number) {
    this.kind = kind;
    this.id = id;
  }

  /** The generation that a task releases into. */
  openGen(): Gen {
    if (this.open === null) {
      this.open = new Gen(this, ++this.ordinal);
      this.unacquired.push(this.open);
    }
    return this.open;
  }

  /**
   * Somebody other than main has acquired: what follows is another generation. Not beyond a bound, or a channel that main
   * never looks at would grow with the trace; what is released after that counts as known, and some race may be missed.
   */
  closeForOthers(): void {
    if (this.unacquired.length < GENS_MAX) this.open = null;
  }

  /** Main learns, at event `index`, of all generations up to `ordinal`. */
  mainLearns(ordinal: number, index: number): void {
    const list = this.unacquired;
    let kept = 0;
    for (const gen of list) {
      if (gen.ordinal > ordinal) list[kept++] = gen;
      else if (gen.acq === NEVER) gen.acq = index;
    }
    list.length = kept;
  }
}

/** Add what `from` knows to `to`. */
export function learn(to: Knowledge, from: Knowledge): void {
  if (from.p > to.p) to.p = from.p;
  if (from.extra !== null) to.extra = joined(to.extra, from.extra);
}

function joined(to: Extra | null, from: Extra): Extra {
  const result = to ?? new Map<Channel, number>();
  for (const [channel, ordinal] of from) {
    if ((result.get(channel) ?? 0) < ordinal) result.set(channel, ordinal);
  }
  return result;
}

/** Whether `who` knows `gen`. */
export function knowsGen(who: Knowledge, gen: Gen): boolean {
  if (gen.acq <= who.p) return true;
  if (who.extra === null || gen.channel === null) return false;
  return (who.extra.get(gen.channel) ?? 0) >= gen.ordinal;
}

/** Whether `who` knows one of the generations of `sig`. */
export function knowsSig(who: Knowledge, sig: Sig): boolean {
  for (let at: Sig | null = sig; at !== null; at = at.parent) {
    if (at.gen !== null && knowsGen(who, at.gen)) return true;
  }
  return false;
}

/** A moment that is not main's, to be asked about later: the generations that its task released into since. */
export interface Mark {
  readonly gens: Gen[];
}

/** Whether `who` knows the moment `mark`. */
export function knowsMark(who: Knowledge, mark: Mark): boolean {
  return mark.gens.some((gen) => knowsGen(who, gen));
}
