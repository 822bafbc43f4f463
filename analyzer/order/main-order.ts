// The full order as far as main is concerned: what main knows of others, and what others know of main. A run in which only main
// edits and frees asks for no more, and no clock is copied or joined for that.
//
// What others know of main is a number each. What main knows of others is found when main learns: what everybody learned, and
// from whom, is kept as a graph of the past (Past), and main, learning of a release, visits what lies behind it and was not
// visited before. Each Past is visited once, so an edge costs the same however many components there are; what main knows
// is in nobody's way any more, and is dropped.
//
//   io1   read ── c1 ─────┐                        Past of what h2 released: it learned from h1, which learned from c1;
//   io1        h1 ────────┴── kick ─┐              main learns of h2: visits h1 and c1, so knows the read, by the wait
//   io1               h2 ───────────┴── kick ─┐
//   main                            wait ─────┴── edit
//
// What two others know of one another is not kept: where that is asked, the answer is OffMain, and the run has to be looked at
// again (vector-order.ts). Labels are those that vector clocks would have: the older knowledge is visited first.

import { Clock, type FullOrder, KEEP, type Label, labelOf, MAIN, OffMain } from "./full.ts";
import type { SyncPoint } from "./sync-point.ts";

/** A longer way through what main does not know is written anew as a list (`#listed`): of contexts that main seldom hears of. */
const WAY_MAX = 256;
/** Learnings between two looks at the memory, and what it may hold then, in bytes. */
const LEARNINGS = 1 << 22;
const HEAP_MAX = 1.5 * 2 ** 30;

/** What somebody knew after having learned from a release. */
export class Past {
  /** What it knew before; null for nothing that main does not know. */
  prev: Past | null;
  /** What the releaser knew. */
  from: Past | null;
  /** The releaser and the time of its release; -1 for several, who are in `from`. */
  readonly who: number;
  readonly epoch: number;
  readonly label: Label;
  /** Whether main knows it all. */
  isKnown = false;
  /** The longest way through it, as long as it was when it was made. */
  readonly way: number;

  constructor(prev: Past | null, from: Past | null, who: number, epoch: number, label: Label) {
    this.prev = prev;
    this.from = from;
    this.who = who;
    this.epoch = epoch;
    this.label = label;
    this.way = 1 + Math.max(prev?.way ?? 0, from?.way ?? 0);
  }
}

class MainClock extends Clock {
  past: Past | null = null;
  /** The length of its past at which that is listed. */
  pastMax = WAY_MAX;
  /** Up to when it knows main, and through what. */
  main = 0;
  mainLabel: Label = 0;
  /** Another unit had it before, and looked at a list. */
  isSecondHand = false;

  override begin(ctx: number): void {
    if (this.accessed > 0) this.isSecondHand = true;
    super.begin(ctx);
    this.past = null;
    this.pastMax = WAY_MAX;
    this.main = 0;
    this.mainLabel = 0;
  }
}

export class MainOrder implements FullOrder {
  readonly #clocks: MainClock[] = [];
  /** What main knows. */
  readonly #known: number[] = [];
  readonly #labels: Label[] = [];
  /** A visit under way: what is to be visited, the latest first, and the label that all of it gets, or KEEP. */
  readonly #visits: Past[] = [];
  readonly #visitLabels: Label[] = [];
  #learnings = 0;

  get size(): number {
    return this.#clocks.length;
  }

  begin(id: number, ctx: number): void {
    this.#clock(id).begin(ctx);
  }

  isSettled(id: number): boolean {
    const clock = this.#clock(id);
    return (this.#known[id] as number) >= clock.accessed;
  }

  epochNow(id: number): number {
    return this.#clock(id).access();
  }

  known(who: number, of: number): number {
    const clock = this.#clock(who);
    if (who === MAIN) return who === of ? clock.epoch : (this.#known[of] ?? 0);
    // What an earlier unit did is another's doing, of which only main was told.
    if (who === of && !clock.isSecondHand) return clock.epoch;
    if (of === MAIN) return clock.main;
    throw new OffMain();
  }

  labelFor(who: number, of: number): Label {
    const clock = this.#clock(who);
    if (who === of) return labelOf("same-thread", clock.owner);
    if (who === MAIN) return this.#labels[of] ?? 0;
    if (of === MAIN) return clock.mainLabel;
    throw new OffMain();
  }

  release(point: SyncPoint, who: number): void {
    const clock = this.#clock(who);
    if (point.ctx >= 0 && (point.ctx !== who || point.epoch < clock.born)) this.#keepOthers(point);
    point.epoch = clock.release();
    point.ctx = who;
    if (clock.past?.isKnown === true) clock.past = null;
    point.past = clock.past;
    point.main = who === MAIN ? point.epoch : clock.main;
    point.mainLabel = who === MAIN ? this.#own(MAIN) : clock.mainLabel;
  }

  releaseAlone(point: SyncPoint, who: number): void {
    point.clear();
    this.release(point, who);
  }

  acquire(point: SyncPoint, who: number, label: Label): void {
    if (point.ctx < 0) return;
    if (who === MAIN) this.#mainAcquires(point, label);
    else this.#otherAcquires(point, this.#clock(who), label);
  }

  checkSize(): void {
    if (this.#learnings < LEARNINGS) return;
    this.#learnings = 0;
    if (process.memoryUsage().heapUsed > HEAP_MAX) throw new OffMain();
  }

  #mainAcquires(point: SyncPoint, label: Label): void {
    if (point.others !== null) this.#visit(point.others, label);
    const { ctx, epoch } = point;
    if (ctx === MAIN || this.#isKnown(point)) return;
    this.#raise(ctx, epoch, label);
    if (point.past !== null) this.#visit(point.past, label);
  }

  #otherAcquires(point: SyncPoint, clock: MainClock, label: Label): void {
    const { others, ctx, epoch } = point;
    this.#learnMain(clock, point.othersMain, label === KEEP ? point.othersMainLabel : label);
    if (others !== null && !others.isKnown && clock.past?.from !== others)
      this.#learn(clock, others, -1, 0, label);
    if (ctx === clock.id && epoch >= clock.born) return;
    this.#learnMain(clock, point.main, label === KEEP ? point.mainLabel : label);
    if (ctx === MAIN || this.#isKnown(point)) return;
    const { past } = clock;
    if (past === null || past.who !== ctx || past.epoch !== epoch)
      this.#learn(clock, point.past, ctx, epoch, label);
  }

  /**
   * Whether main knows the last release into `point`. An epoch is its component's alone: who knows it knows all that was known
   * there, but not what another unit knew, which had the component before.
   */
  #isKnown({ ctx, epoch, past }: SyncPoint): boolean {
    if (epoch > (this.#known[ctx] as number)) return false;
    return epoch >= this.#clock(ctx).born || unknown(past) === null;
  }

  #learnMain(clock: MainClock, main: number, label: Label): void {
    if (main <= clock.main) return;
    clock.main = main;
    clock.mainLabel = label;
    clock.learned = true;
  }

  #learn(clock: MainClock, from: Past | null, who: number, epoch: number, label: Label): void {
    clock.past = new Past(unknown(clock.past), unknown(from), who, epoch, label);
    clock.learned = true;
    this.#learnings++;
    if (clock.past.way <= clock.pastMax) return;
    clock.past = this.#listed(clock.past);
    clock.pastMax = WAY_MAX + 2 * (clock.past?.way ?? 0);
  }

  /** Somebody else is about to release into `point`: what was released into it before is kept apart. */
  #keepOthers(point: SyncPoint): void {
    const { ctx, epoch } = point;
    if (point.main > point.othersMain) {
      point.othersMain = point.main;
      point.othersMainLabel = point.mainLabel;
    }
    if (ctx === MAIN || this.#isKnown(point)) return;
    point.others = new Past(unknown(point.others), unknown(point.past), ctx, epoch, KEEP);
    this.#learnings++;
    if (point.others.way <= Math.max(WAY_MAX, point.othersMax)) return;
    point.others = this.#listed(point.others);
    point.othersMax = 2 * (point.others?.way ?? 0);
  }

  /** Main learns of `past`, and of all behind it, through an edge called `label`. */
  #visit(past: Past, label: Label): void {
    const visits = this.#visits;
    const labels = this.#visitLabels;
    visits.push(past);
    labels.push(label);
    while (visits.length > 0) {
      const next = visits[visits.length - 1] as Past;
      const called = labels[labels.length - 1] as Label;
      const { prev, from } = next;
      if (!next.isKnown && prev !== null && !prev.isKnown) {
        visits.push(prev);
        labels.push(called);
        continue;
      }
      visits.pop();
      labels.pop();
      if (next.isKnown) continue;
      next.isKnown = true;
      next.prev = null;
      next.from = null;
      const through = called === KEEP ? next.label : called;
      if (next.who >= 0) this.#raise(next.who, next.epoch, through);
      if (from === null || from.isKnown) continue;
      visits.push(from);
      labels.push(through);
    }
  }

  /** The same as `past`, as a list of what main does not know, each component once; null if there is none. */
  #listed(past: Past): Past | null {
    const found = new Map<number, Past>();
    const seen = new Set<Past>();
    const visits: { readonly past: Past; readonly called: Label }[] = [{ past, called: KEEP }];
    for (let next = visits.at(-1); next !== undefined; next = visits.at(-1)) {
      const { prev, from, who, epoch, label } = next.past;
      const { called } = next;
      if (!seen.has(next.past) && isOpen(prev, seen)) {
        visits.push({ past: prev, called });
        continue;
      }
      visits.pop();
      if (seen.has(next.past)) continue;
      seen.add(next.past);
      const through = called === KEEP ? label : called;
      if (who >= 0 && epoch > Math.max(this.#known[who] as number, found.get(who)?.epoch ?? 0))
        found.set(who, new Past(null, null, who, epoch, through));
      if (isOpen(from, seen)) visits.push({ past: from, called: through });
    }
    let list: Past | null = null;
    for (const { who, epoch, label } of found.values())
      list = new Past(list, null, who, epoch, label);
    return list;
  }

  #raise(id: number, epoch: number, label: Label): void {
    if (epoch <= (this.#known[id] as number)) return;
    this.#known[id] = epoch;
    this.#labels[id] = label === KEEP ? this.#own(id) : label;
    this.#clock(MAIN).learned = true;
  }

  /** What the doings of component `id` are released as. */
  #own(id: number): Label {
    return labelOf("same-thread", this.#clock(id).owner);
  }

  #clock(id: number): MainClock {
    for (let i = this.#clocks.length; i <= id; i++) {
      this.#clocks.push(new MainClock(i));
      this.#known.push(0);
      this.#labels.push(0);
    }
    return this.#clocks[id] as MainClock;
  }
}

/** Whether main does not know `past`, and it is not among those seen. */
function isOpen(past: Past | null, seen: ReadonlySet<Past>): past is Past {
  return past !== null && !past.isKnown && !seen.has(past);
}

function unknown(past: Past | null): Past | null {
  return past === null || past.isKnown ? null : past;
}
