// The task reading of program order: two handlers of one context are ordered only by what posted them. What has an order of
// its own, a *unit*, is the main context as a whole (design D9), and elsewhere one run of a bottom half or fd handler, a
// coroutine, or what the loop itself does: from one timer or completion to the next. Each unit has a component in the clocks
// of the full order; under the thread reading a context has one, and its number is the context's.
//
//   io1    [bh 1] ── read ── [bh 1 done] [bh 2] ── kick ─┐        thread: the read is before the kick, hence before the edit
//   main                                                 └─ edit  task: nothing orders the two handlers: the pair is a race
//
// A coroutine is entered by a call, so whoever enters it comes before what it does then, and goes on after that. A component
// is used again for another unit of the context when main knows all that it did, or it looked at no list. Whoever knows the
// later unit then counts as knowing the earlier one: that cannot matter to an edit of main. Where others edit it could, so
// vector clocks, which are for such runs, keep some hundreds apart before they use one again.

import { Ev, KIND_MAX } from "#core/probe";
import { refuseMore } from "../bounds.ts";
import { UNIT_MAX } from "../limits.ts";
import type { Now } from "../now.ts";
import { type FullOrder, KEEP, labelOf } from "./full.ts";
import { IdMap } from "./id-map.ts";
import type { Orders } from "./orders.ts";
import { SyncPoint } from "./sync-point.ts";

const LABEL_CO = labelOf("coroutine");
/** Free components that are looked at for one that may be used again. */
const CANDIDATES = 8;

/** Events at which what runs in a context may change, or which units exchange. */
const STEPS = new Uint8Array(KIND_MAX);
for (const kind of [
  Ev.bh_run,
  Ev.bh_done,
  Ev.fd_run,
  Ev.timer_run,
  Ev.co_enter,
  Ev.co_yield,
  Ev.co_terminate,
  Ev.io_submit,
  Ev.io_now,
  Ev.io_done,
])
  STEPS[kind] = 1;

/** What runs in a context: a handler (co 0) or a coroutine. */
interface Frame {
  readonly co: number;
  readonly unit: number;
}

class ContextUnits {
  /** The loop's own, or its latest timer's or completion's. */
  loop = -1;
  readonly frames: Frame[] = [];
  readonly coroutines = new Map<number, number>();
  /** All components, and those that no unit has, the longest free first. */
  readonly all: number[] = [];
  readonly free: number[] = [];

  get current(): number {
    const frame = this.frames[this.frames.length - 1];
    return frame === undefined ? this.loop : frame.unit;
  }
}

export interface UnitsOptions {
  readonly now: Now;
  readonly full: FullOrder;
  readonly orders: Orders;
  /** Whether entering and leaving a coroutine is an edge. */
  readonly coroutine: boolean;
  /** What starts a context is before all its units; null when that edge is off. */
  readonly startOf: ((ctx: number) => SyncPoint) | null;
}

export class Units {
  readonly #options: UnitsOptions;
  readonly #contexts: ContextUnits[] = [];
  /** Operations that iothreads submitted. */
  readonly #ops = new IdMap<SyncPoint>("I/O operations at a time");
  /** Component 0 is main's. */
  #count = 1;

  constructor(options: UnitsOptions) {
    this.#options = options;
  }

  /** Whether an event of `kind` may change what runs in its context; of others `after` need not be told. */
  static changesWithin(kind: number): boolean {
    return STEPS[kind] === 1;
  }

  /** An event of `kind` about `id` is about to happen in `ctx`: who runs it becomes `now.unit`. */
  before(kind: number, ctx: number, id: number): void {
    this.#options.now.unit = ctx === 0 ? 0 : this.#unitFor(kind, ctx, id);
  }

  #unitFor(kind: number, ctx: number, id: number): number {
    const context = this.#context(ctx);
    const from = context.current;
    if (kind === Ev.bh_run || kind === Ev.fd_run) {
      this.#leave(ctx, from);
      context.frames.push({ co: 0, unit: this.#take(context, ctx) });
    } else if (kind === Ev.co_enter) {
      this.#leave(ctx, from);
      const unit = context.coroutines.get(id) ?? this.#take(context, ctx);
      context.coroutines.set(id, unit);
      context.frames.push({ co: id, unit });
      this.#call(from, unit);
    } else if ((kind === Ev.timer_run || kind === Ev.io_done) && context.frames.length === 0) {
      this.#leave(ctx, from);
      context.free.push(context.loop);
      context.loop = this.#take(context, ctx);
    }
    if (kind === Ev.io_done) this.#completed(id, ctx, context.current);
    return context.current;
  }

  /** The event has happened. */
  after(kind: number, ctx: number, id: number): void {
    if (ctx === 0) return;
    const context = this.#context(ctx);
    if (kind === Ev.io_submit) this.#submitted(id, context.current);
    else if (kind === Ev.io_now) this.#ops.delete(id);
    const top = context.frames[context.frames.length - 1];
    const leaves = kind === Ev.co_yield || kind === Ev.co_terminate;
    if (kind === Ev.co_terminate) this.#end(context, id);
    if (top === undefined || !(leaves ? top.co === id : kind === Ev.bh_done && top.co === 0))
      return;
    context.frames.pop();
    this.#leave(ctx, top.unit);
    if (leaves) this.#call(top.unit, context.current);
    else context.free.push(top.unit);
  }

  /** Coroutine `co` is over: its component is free, unless it is still entered elsewhere in the nest. */
  #end(context: ContextUnits, co: number): void {
    const unit = context.coroutines.get(co);
    if (unit === undefined) return;
    context.coroutines.delete(co);
    if (!context.frames.some((frame, i) => frame.unit === unit && i < context.frames.length - 1))
      context.free.push(unit);
  }

  /** What runs in `ctx` now. */
  current(ctx: number): number {
    return ctx === 0 ? 0 : this.#context(ctx).current;
  }

  /** All components of `ctx`. */
  all(ctx: number): readonly number[] {
    return ctx === 0 ? [0] : this.#context(ctx).all;
  }

  #submitted(op: number, unit: number): void {
    const point = this.#ops.get(op) ?? new SyncPoint();
    this.#ops.set(op, point);
    this.#options.full.release(point, unit);
  }

  /** An operation is completed in the context that submitted it, so under the thread reading this is "same-thread". */
  #completed(op: number, ctx: number, unit: number): void {
    const point = this.#ops.get(op);
    if (point === undefined) return;
    this.#ops.delete(op);
    this.#options.full.acquire(point, unit, labelOf("same-thread", ctx));
  }

  /** `from` calls `to`, or returns to it. */
  #call(from: number, to: number): void {
    const { full, coroutine } = this.#options;
    if (!coroutine || from === to) return;
    const point = new SyncPoint();
    full.release(point, from);
    full.acquire(point, to, LABEL_CO);
  }

  /** The task that ran in unit `from` of `ctx` may go on in another, even one that gets the same component. */
  #leave(ctx: number, from: number): void {
    const { full, orders } = this.#options;
    const { task } = orders.context(ctx);
    if (task === null || task.unit !== from) return;
    full.release(task.sync, from);
    task.unit = -1;
  }

  #context(ctx: number): ContextUnits {
    for (let i = this.#contexts.length; i <= ctx; i++) this.#contexts.push(new ContextUnits());
    const context = this.#contexts[ctx] as ContextUnits;
    if (context.loop < 0) context.loop = this.#take(context, ctx);
    return context;
  }

  /** A component for a unit that begins. */
  #take(context: ContextUnits, ctx: number): number {
    const unit = this.#reuse(context) ?? this.#add(context, ctx);
    const { full, startOf } = this.#options;
    full.begin(unit, ctx);
    if (startOf !== null) full.acquire(startOf(ctx), unit, KEEP);
    return unit;
  }

  #reuse(context: ContextUnits): number | undefined {
    const { full } = this.#options;
    const { free } = context;
    const at = free.slice(0, CANDIDATES).findIndex((unit) => full.isSettled(unit));
    if (at >= 0) return free.splice(at, 1)[0];
    const newest = free[free.length - 1];
    if (newest !== undefined && full.isSettled(newest)) return free.pop();
    return this.#count > UNIT_MAX ? free.shift() : undefined;
  }

  #add(context: ContextUnits, ctx: number): number {
    if (this.#count > UNIT_MAX) refuseMore(UNIT_MAX, `handlers and coroutines at a time`);
    const unit = this.#count++;
    context.all.push(unit);
    this.#options.full.begin(unit, ctx);
    return unit;
  }
}
