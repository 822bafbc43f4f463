// Both orders, fed with the same edges: who runs, what is released and acquired. Design D9's table is in edges.ts, which
// calls this; what the representation means is in knowledge.ts (sanctioned) and full.ts (full).
//
// Actors of the sanctioned order: the main context as a whole; each request task elsewhere; and every single event of an
// iothread that belongs to no task ("loose"), which only the start and end of its context order, and, inside an external
// handler, the gate that let that handler run.

import { WORLD_CTX } from "#core/probe";
import { refuseMore } from "../bounds.ts";
import { type AnalyzerLimits, CHANNELS_KNOWN_MAX, MARKS_MAX, TASKS_MAX } from "../limits.ts";
import type { Sections } from "../model/sections.ts";
import type { Now } from "../now.ts";
import { type FullOrder, KEEP, type Label } from "./full.ts";
import { IdMap } from "./id-map.ts";
import { Channel, Gen, type Knowledge, learn, type Mark, Sig, SigWalk } from "./knowledge.ts";
import type { SyncPoint } from "./sync-point.ts";
import { TaskState } from "./task.ts";
import type { Units } from "./units.ts";

/** What the sanctioned order keeps of a context. */
class ContextState {
  /** The task whose events ran last here. */
  task: TaskState | null = null;
  /** What its creator knew: all its events know that. */
  readonly start: Knowledge = { p: -1, extra: null };
  /** What a loose event knows: `start`, and what let the external handler run that runs now. */
  loose: Knowledge = this.start;
  /** Releases all of the context's events when it stops. */
  readonly stop: Channel;
  /** The signature of everything that happens here. */
  readonly base: Sig;

  constructor(id: number, join: boolean) {
    this.stop = new Channel("context-join", id);
    this.base = new Sig(null, join ? this.stop.openGen() : null);
  }
}

export interface OrdersOptions {
  readonly now: Now;
  readonly full: FullOrder | null;
  readonly sections: Sections;
  readonly limits: AnalyzerLimits;
  /** Whether ctx_join is an edge, and whether tasks have program order. */
  readonly join: boolean;
  readonly taskOrder: boolean;
  /** Whether a read comes after the edit that it saw, in the full order. */
  readonly readsFrom: boolean;
}

export class Orders {
  readonly now: Now;
  readonly full: FullOrder | null;
  readonly tasks = new IdMap<TaskState>("requests in flight at a time", TASKS_MAX);
  /** The signature of what nobody will ever hear of. */
  readonly nothing = new Sig(null, null);
  /** The walk through the log of a task that ends: one object for all. */
  readonly lastWalk = new SigWalk(this.nothing);
  readonly limits: AnalyzerLimits;
  readonly readsFrom: boolean;
  readonly #sections: Sections;
  readonly #join: boolean;
  readonly #taskOrder: boolean;
  readonly #contexts: ContextState[] = [];
  readonly #pool: TaskState[] = [];
  /** The units of the task reading of the full order; null under the thread reading. Set once. */
  units: Units | null = null;
  /** Last event at which main published what it had done. */
  mainReleased = -1;

  constructor(options: OrdersOptions) {
    this.now = options.now;
    this.full = options.full;
    this.#sections = options.sections;
    this.limits = options.limits;
    this.readsFrom = options.readsFrom && options.full !== null;
    this.#join = options.join;
    this.#taskOrder = options.taskOrder;
  }

  /** The next event is run by `taskId` in `ctx`. */
  switchTo(ctx: number, taskId: number): void {
    const now = this.now;
    now.ctx = ctx;
    if (this.units === null) now.unit = ctx;
    now.taskId = taskId;
    now.task = null;
    if (ctx === WORLD_CTX) return;
    const context = this.context(ctx);
    const last = context.task;
    if (last !== null && last.id !== taskId) {
      context.task = null;
      this.#leave(last, ctx, context);
    }
    if (taskId === 0 || (ctx !== 0 && !this.#taskOrder)) return;
    if (context.task === null) context.task = this.#enter(taskId, ctx, context);
    now.task = context.task;
    this.unitChanged();
  }

  /** The running task goes on in another unit: it knows what it knew. */
  unitChanged(): void {
    const { task, unit } = this.now;
    if (task === null || task.unit === unit) return;
    this.full?.acquire(task.sync, unit, KEEP);
    task.unit = unit;
  }

  /** Everything that ever ran in `ctx` releases into `point`, in the full order. */
  releaseAll(point: SyncPoint, ctx: number): void {
    if (this.full === null) return;
    for (const unit of this.units?.all(ctx) ?? []) this.full.release(point, unit);
    this.full.release(point, this.now.unit);
  }

  context(ctx: number): ContextState {
    for (let i = this.#contexts.length; i <= ctx; i++)
      this.#contexts.push(new ContextState(i, this.#join));
    return this.#contexts[ctx] as ContextState;
  }

  #leave(task: TaskState, ctx: number, context: ContextState): void {
    if (ctx === 0) {
      // No event of main lies between the task's last one and now.
      task.p = this.now.index - 1;
      this.mainReleased = task.p;
    } else learn(context.stop, task);
    if (this.units === null || task.unit === this.units.current(ctx))
      this.full?.release(task.sync, this.units === null ? ctx : task.unit);
  }

  #enter(taskId: number, ctx: number, context: ContextState): TaskState {
    let task = this.tasks.get(taskId);
    if (task === undefined) {
      task = this.#pool.pop() ?? new TaskState();
      task.reset(taskId, this.limits.logEntriesMax);
      this.tasks.set(taskId, task);
      // What an external handler begins goes on from what let that handler run.
      if (ctx !== 0) learn(task, context.loose);
    } else {
      // Where it ran last nothing else has run since: it leaves only now.
      const from = task.lastCtx;
      if (this.context(from).task === task) {
        this.context(from).task = null;
        this.#leave(task, from, this.context(from));
      }
      this.full?.acquire(task.sync, this.now.unit, KEEP);
    }
    task.unit = this.now.unit;
    if (task.lastCtx !== ctx) this.#move(task, ctx, context);
    task.lastCtx = ctx;
    return task;
  }

  /** A task goes on in another context, or begins. */
  #move(task: TaskState, ctx: number, context: ContextState): void {
    // What it did so far is done before the end of the context that it leaves, as well as of the one that it comes to.
    const left = task.lastCtx > 0 ? this.context(task.lastCtx).base.gen : null;
    if (left !== null) task.logRelease(left);
    const { gen } = context.base;
    if (ctx !== 0 && gen !== null) for (const mark of task.marks ?? []) mark.gens.push(gen);
    if (ctx !== 0) learn(task, context.start);
    else if (task.lastCtx > 0) this.#handToMain(task);
  }

  /** A task goes on in main: from here on main is after all that it did. */
  #handToMain(task: TaskState): void {
    const gen = new Gen(null, 0);
    gen.acq = this.now.index;
    task.logRelease(gen);
    this.#mainAbsorbs(task);
  }

  #mainAbsorbs(who: Knowledge): void {
    if (who.extra === null) return;
    for (const [channel, ordinal] of who.extra) channel.mainLearns(ordinal, this.now.index);
  }

  /** The running task is over. */
  endTask(id: number): void {
    const task = this.tasks.get(id);
    if (task === undefined) return;
    const { ctx } = this.now;
    const context = this.context(ctx);
    if (context.task === task) {
      context.task = null;
      if (ctx !== 0) learn(context.stop, task);
    }
    this.now.task = null;
    this.now.ctx = -1;
    this.tasks.delete(id);
    if (task.marks === null) this.#pool.push(task);
  }

  /** What the running actor knows; null for main, which is asked by event. */
  knowledge(): Knowledge | null {
    const { ctx, task } = this.now;
    if (ctx === 0) return null;
    return task ?? this.context(ctx).loose;
  }

  /** What the running actor knows, main included. */
  knowledgeNow(): Knowledge {
    return this.knowledge() ?? { p: this.now.index, extra: null };
  }

  /** Up to when main knows `unit` in the full order. */
  mainKnows(unit: number): number {
    return this.full === null ? 0 : this.full.known(0, unit);
  }

  /** How many poll ends of open sections of main came before event `index`. */
  pollEndsBefore(index: number): number {
    let count = 0;
    for (const section of this.#sections.open)
      if (section.pollCtx === 0 && section.pollEnd < index) count++;
    return count;
  }

  /** Up to which event the running actor knows main. */
  mainKnown(): number {
    const { ctx, task } = this.now;
    if (ctx === 0) return this.now.index;
    return task !== null ? task.p : this.context(ctx).loose.p;
  }

  /** A moment to ask about later: what the running actor, which is not main, releases from now on. */
  mark(): Mark {
    const { ctx, task } = this.now;
    const base = this.context(ctx).base.gen;
    const mark: Mark = { gens: base === null ? [] : [base] };
    if (task !== null) {
      task.marks ??= [];
      if (task.marks.length >= MARKS_MAX) refuseMore(MARKS_MAX, "edits and drains of one request");
      task.marks.push(mark);
    }
    return mark;
  }

  /** The running actor releases into `channel`, in both orders. */
  release(channel: Channel): void {
    const { ctx, task } = this.now;
    if (ctx === 0) {
      channel.p = this.now.index;
      this.mainReleased = this.now.index;
    } else if (task !== null) {
      task.logRelease(channel.openGen());
      if (task.p > channel.p) channel.p = task.p;
      if (task.extra !== null) learn(channel, task);
    } else learn(channel, this.context(ctx).loose);
    this.full?.release(channel.sync, this.now.unit);
  }

  /** The running actor acquires from `channel`, in both orders. */
  acquire(channel: Channel): void {
    const { ctx, task } = this.now;
    if (ctx === 0) {
      if (channel.unacquired.length > 0) channel.mainLearns(channel.ordinal, this.now.index);
      channel.open = null;
      this.#mainAbsorbs(channel);
    } else if (task !== null) this.#tell(task, channel);
    else this.#tell(this.context(ctx).stop, channel);
    this.full?.acquire(channel.sync, this.now.unit, KEEP);
  }

  #tell(who: Knowledge, channel: Channel): void {
    if (channel.p > who.p) who.p = channel.p;
    if (channel.ordinal === 0 && channel.extra === null) return;
    learn(who, channel);
    who.extra ??= new Map();
    if (who.extra.size >= CHANNELS_KNOWN_MAX && !(who instanceof Channel))
      refuseMore(CHANNELS_KNOWN_MAX, "counters and gates that one request has read");
    who.extra.set(channel, channel.ordinal);
    channel.closeForOthers();
  }

  /** An acquire that no protocol promises: the full order only. */
  acquireByLuck(channel: Channel, label: Label): void {
    this.full?.acquire(channel.sync, this.now.unit, label);
  }

  /** The running actor starts context `id`. */
  contextStart(id: number): void {
    const context = this.context(id);
    const { ctx, task } = this.now;
    if (ctx === 0) {
      context.start.p = this.now.index;
      this.mainReleased = this.now.index;
    } else learn(context.start, task ?? this.context(ctx).loose);
  }

  /** The thread of `id` is at its end: all that ran there is published. */
  contextStop(id: number): void {
    const context = this.context(id);
    if (context.task !== null) learn(context.stop, context.task);
    learn(context.stop, context.start);
  }

  /** An external handler runs in the running context: until it is done, loose events know what `gate` knows. */
  handlerAdmitted(gate: Channel): void {
    const context = this.context(this.now.ctx);
    const loose: Knowledge = { p: -1, extra: null };
    learn(loose, context.start);
    learn(loose, gate);
    if (gate.ordinal > 0) loose.extra = (loose.extra ?? new Map()).set(gate, gate.ordinal);
    context.loose = loose;
  }

  /** Whatever handler ran in the running context does so no more. */
  handlerOver(): void {
    const context = this.context(this.now.ctx);
    context.loose = context.start;
  }
}
