// Design D9's table as code: which event releases, which acquires, and under which condition. Below it the edges that only
// the full order has (reference, section 2.12).
//
// The two conditions of the table are what makes check-then-act mistakes visible. A counter that reads zero orders nothing
// unless the section that read it holds a level of that owner's quiesce counter at that moment: without it the next request
// may already be on its way in. A gate that reads zero orders nothing unless the reader holds that BlockBackend's in-flight
// counter: without it a drain does not wait for the reader. A job's `busy` flag counts like a counter.
//
// What a drainer starts inside its section and waits for is ordered both ways as a whole: the walk that its coroutine makes
// before it raises a counter, too (WRAPPER_TASK).
//
// An external handler knows what the gate of its context knows until it is done, and so does a request that it begins: that
// is how a request that passes no BlockBackend is let in again after a drain.

import type { EdgeKind } from "../edge-kinds.ts";
import { SECTIONS_OPEN_MAX } from "../limits.ts";
import type { Holdable } from "../model/graph.ts";
import type { Section, Sections } from "../model/sections.ts";
import type { Now } from "../now.ts";
import { type FullOrder, labelOf } from "./full.ts";
import { IdMap } from "./id-map.ts";
import { Channel } from "./knowledge.ts";
import type { Orders } from "./orders.ts";
import { SyncPoint } from "./sync-point.ts";

/** A coroutine that a drainer started and waits for. */
interface Wrapper {
  readonly begin: Channel;
  readonly end: Channel;
  /** Sections of the drainer that were open, and had waited, when it began. */
  readonly sections: readonly Section[];
}

const LABEL_COUNTER = labelOf("counter");

export interface EdgesOptions {
  readonly now: Now;
  readonly sections: Sections;
  readonly orders: Orders;
  readonly disabled: ReadonlySet<EdgeKind>;
}

export class Edges {
  readonly #now: Now;
  readonly #sections: Sections;
  readonly #orders: Orders;
  readonly #full: FullOrder | null;
  readonly #off: ReadonlySet<EdgeKind>;
  readonly #nodeCounter: boolean;
  readonly #blkCounter: boolean;
  readonly #gate: boolean;
  readonly #wakes = new IdMap<Channel>("requests that are woken at a time");
  readonly #wrappers = new IdMap<Wrapper>("coroutines that a drainer waits for", SECTIONS_OPEN_MAX);
  readonly #external: Channel[] = [];
  readonly #starts: SyncPoint[] = [];
  readonly #stopped = new Set<number>();

  constructor(options: EdgesOptions) {
    this.#now = options.now;
    this.#sections = options.sections;
    this.#orders = options.orders;
    this.#full = options.orders.full;
    this.#off = options.disabled;
    this.#nodeCounter = !this.#off.has("node-counter");
    this.#blkCounter = !this.#off.has("blk-counter");
    this.#gate = !this.#off.has("gate");
  }

  // ---- In-flight counters ------------------------------------------------------------------------------------------

  bsInFlightDec(node: Holdable): void {
    if (this.#nodeCounter) this.#orders.release(node.counter);
  }

  blkInFlightDec(blk: Holdable): void {
    if (this.#blkCounter) this.#orders.release(blk.counter);
  }

  bsInFlightRead(node: Holdable, value: number, section: number): void {
    if (this.#nodeCounter) this.#counterRead(node, value, section);
  }

  blkInFlightRead(blk: Holdable, value: number, section: number): void {
    if (this.#blkCounter) this.#counterRead(blk, value, section);
  }

  #counterRead(owner: Holdable, value: number, section: number): void {
    if (value !== 0) return;
    if (section !== 0 && owner.heldBy(section) > 0) this.#orders.acquire(owner.counter);
    else this.#byLuck(owner.counter);
  }

  // ---- Gates -------------------------------------------------------------------------------------------------------

  blkUnquiesce(blk: Holdable): void {
    if (this.#gate) this.#orders.release(blk.gate);
  }

  gateRead(blk: Holdable, value: number): void {
    if (value !== 0 || !this.#gate) return;
    const task = this.#now.task;
    if (task?.holds(blk.id) === true) this.#orders.acquire(blk.gate);
    else this.#byLuck(blk.gate);
  }

  /** A counter that was read without the right to rely on it. */
  #byLuck(channel: Channel): void {
    if (!this.#off.has("counter")) this.#orders.acquireByLuck(channel, LABEL_COUNTER);
  }

  reqWake(co: number): void {
    if (this.#off.has("queue-wake")) return;
    let channel = this.#wakes.get(co);
    if (channel === undefined) {
      channel = new Channel("queue-wake", co);
      this.#wakes.set(co, channel);
    }
    this.#orders.release(channel);
  }

  reqResumed(co: number): void {
    const channel = this.#wakes.get(co);
    if (channel === undefined) return;
    this.#orders.acquire(channel);
    this.#wakes.delete(co);
  }

  // ---- External events ---------------------------------------------------------------------------------------------

  externalEnable(ctx: number): void {
    if (!this.#off.has("external")) this.#orders.release(this.#externalGate(ctx));
  }

  fdRun(external: boolean, count: number): void {
    if (external && count === 0 && !this.#off.has("external")) {
      const gate = this.#externalGate(this.#now.ctx);
      this.#orders.acquire(gate);
      this.#orders.handlerAdmitted(gate);
    }
  }

  handlerOver(): void {
    this.#orders.handlerOver();
  }

  #externalGate(ctx: number): Channel {
    for (let i = this.#external.length; i <= ctx; i++)
      this.#external.push(new Channel("external", i));
    return this.#external[ctx] as Channel;
  }

  // ---- Jobs --------------------------------------------------------------------------------------------------------

  jobResume(job: Holdable): void {
    if (!this.#off.has("job-resume")) this.#orders.release(job.gate);
  }

  jobGateRead(job: Holdable, value: number): void {
    if (value === 0 && !this.#off.has("job-resume")) this.#orders.acquire(job.gate);
  }

  jobBusy(job: Holdable, busy: number): void {
    if (busy === 0 && !this.#off.has("job-idle")) this.#orders.release(job.counter);
  }

  jobBusyRead(job: Holdable, busy: number, section: number): void {
    if (!this.#off.has("job-idle")) this.#counterRead(job, busy, section);
  }

  // ---- Requests that a drainer starts and waits for ------------------------------------------------------------------

  wrapperBegin(co: number): void {
    const sections = this.#openSectionsOfActor();
    if (sections.length === 0) return;
    const wrapper = {
      begin: new Channel("wrapper-begin", co),
      end: new Channel("wrapper-end", co),
      sections,
    };
    this.#wrappers.set(co, wrapper);
    if (!this.#off.has("wrapper-begin")) this.#orders.release(wrapper.begin);
  }

  wrapperEnd(co: number): void {
    const wrapper = this.#wrappers.get(co);
    if (wrapper === undefined) return;
    this.#wrappers.delete(co);
    const open = this.#openSectionsOfActor();
    const inside = wrapper.sections.some((section) => open.includes(section));
    if (inside && !this.#off.has("wrapper-end")) this.#orders.acquire(wrapper.end);
  }

  taskBegin(co: number): void {
    const wrapper = this.#wrappers.size === 0 ? undefined : this.#wrappers.get(co);
    if (wrapper !== undefined && !this.#off.has("wrapper-begin"))
      this.#orders.acquire(wrapper.begin);
  }

  taskEnd(co: number): void {
    const wrapper = this.#wrappers.size === 0 ? undefined : this.#wrappers.get(co);
    if (wrapper !== undefined && !this.#off.has("wrapper-end")) this.#orders.release(wrapper.end);
  }

  /** Channels that belong to no object of the graph. */
  get channels(): number {
    return this.#wakes.size + 2 * this.#wrappers.size + this.#external.length + this.#starts.length;
  }

  /** Whether a drainer waits, inside its section, for a coroutine that it started. */
  get hasWrappers(): boolean {
    return this.#wrappers.size > 0;
  }

  /** Whether `co` was started by a drainer inside its section, which waits for it. */
  startedByDrainer(co: number): boolean {
    return this.#wrappers.size > 0 && this.#wrappers.get(co) !== undefined;
  }

  /** Sections whose poll phase the running actor has seen end, and that are open. */
  #openSectionsOfActor(): Section[] {
    const { ctx, actor } = this.#now;
    return this.#sections.openOf(ctx, actor);
  }

  // ---- Contexts ----------------------------------------------------------------------------------------------------

  ctxStart(id: number): void {
    if (this.#off.has("context-start")) return;
    this.#orders.contextStart(id);
    this.#full?.release(this.startOf(id), this.#now.unit);
  }

  ctxRun(id: number): void {
    if (!this.#off.has("context-start")) this.#full?.acquire(this.startOf(id), this.#now.unit, -1);
  }

  ctxStop(id: number): void {
    this.#stopped.add(id);
    this.#orders.contextStop(id);
    this.#orders.releaseAll(this.#orders.context(id).stop.sync, id);
  }

  ctxJoin(id: number): void {
    if (this.#stopped.has(id) && !this.#off.has("context-join"))
      this.#orders.acquire(this.#orders.context(id).stop);
  }

  /** Where the start of context `id` is released. */
  startOf(id: number): SyncPoint {
    for (let i = this.#starts.length; i <= id; i++) this.#starts.push(new SyncPoint());
    return this.#starts[id] as SyncPoint;
  }
}
