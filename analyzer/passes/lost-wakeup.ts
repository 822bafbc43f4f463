// Wake-ups that are lost: main waits for a condition, another context makes it true, and nobody says so.
//
//   main   wait: counter is 1, so it sleeps ........................................ for ever, or until somebody happens to kick
//   io1                                       kick ── counter := 0 ── yields
//                                                          (the kick has to come after)
//
// Two things are looked at. A run that ends in a deadlock says itself which wait's condition had come true (wait_lost). And while
// main waits, each counter that its condition read as non-zero is watched: who lowers it to zero in another context has to
// kick before the coroutine or handler stops that did so, whatever happens to wake main this time. A wait in main polls main: what is
// lowered there is seen anyway.

import { Ev } from "#core/probe";
import type { Holdable } from "../model/graph.ts";
import type { Names } from "../names.ts";
import type { Pass, PassContext } from "./pass.ts";

/** A wait of main. */
interface Wait {
  readonly id: number;
  readonly site: number;
  readonly activity: number;
  /** Counters that its latest finished look at the condition found non-zero, and those of the look under way. */
  awaited: Set<string>;
  looking: Set<string>;
}

/** A counter went to zero, and nobody has kicked yet. */
interface Store {
  readonly wait: Wait;
  readonly counter: string;
  readonly index: number;
  readonly ctx: number;
  readonly activity: number;
}

const COUNTERS = new Map<number, string>([
  [Ev.bs_in_flight_read, "node"],
  [Ev.bs_in_flight_dec, "node"],
  [Ev.blk_in_flight_read, "blk"],
  [Ev.blk_in_flight_dec, "blk"],
  [Ev.job_busy_read, "job"],
  [Ev.job_busy, "job"],
]);

/** Asked for while main waits for counters. */
const STORES = [Ev.bs_in_flight_dec, Ev.blk_in_flight_dec, Ev.job_busy] as const;

/** Asked for from a store to the kick behind it: the kick, and what ends the doing of who stored. */
const AFTER_STORE = [
  Ev.kick,
  Ev.co_yield,
  Ev.co_terminate,
  Ev.bh_run,
  Ev.bh_done,
  Ev.fd_run,
  Ev.io_done,
  Ev.timer_run,
] as const;

export class LostWakeup implements Pass {
  readonly kinds = [
    Ev.wait_begin,
    Ev.wait_check,
    Ev.wait_end,
    Ev.bs_in_flight_read,
    Ev.blk_in_flight_read,
    Ev.job_busy_read,
    Ev.wait_lost,
  ] as const;
  readonly #context: PassContext;
  /** Waits of main, innermost last. */
  readonly #waits: Wait[] = [];
  /** Waits that await a counter. */
  #awaiting = 0;
  readonly #stores: Store[] = [];

  constructor(context: PassContext) {
    this.#context = context;
  }

  on(kind: number, a: number, b: number, c: number): void {
    const { ctx } = this.#context.now;
    switch (kind) {
      case Ev.wait_lost:
        this.#noteLost(a, b);
        break;
      case Ev.wait_begin:
        if (ctx === 0) this.#begin(a, c);
        break;
      case Ev.wait_check:
        if (ctx === 0) this.#checked(a, b !== 0);
        break;
      case Ev.wait_end:
        if (ctx === 0) this.#end(a);
        break;
      case Ev.bs_in_flight_read:
      case Ev.blk_in_flight_read:
      case Ev.job_busy_read:
        if (ctx === 0 && b !== 0) this.#looks(`${COUNTERS.get(kind)} ${a}`);
        break;
      case Ev.bs_in_flight_dec:
      case Ev.blk_in_flight_dec:
      case Ev.job_busy:
        if (ctx !== 0 && b === 0) this.#lowered(`${COUNTERS.get(kind)} ${a}`);
        break;
      case Ev.kick:
        this.#forget((store) => store.ctx === ctx);
        break;
      default:
        this.#stops(kind, a);
    }
  }

  finish(): void {}

  #begin(id: number, site: number): void {
    const activity = this.#context.operations.activity(0);
    this.#waits.push({ id, site, activity, awaited: new Set(), looking: new Set() });
  }

  /** The condition of the running call stack's innermost wait read a counter that was not zero. */
  #looks(counter: string): void {
    const activity = this.#context.operations.activity(0);
    this.#waits.findLast((wait) => wait.activity === activity)?.looking.add(counter);
  }

  #checked(id: number, busy: boolean): void {
    const wait = this.#waits.findLast((one) => one.id === id);
    if (wait === undefined) return;
    this.#await(wait, busy ? wait.looking : new Set());
    wait.looking = new Set();
  }

  #end(id: number): void {
    const at = this.#waits.findLastIndex((one) => one.id === id);
    const wait = this.#waits[at];
    if (wait === undefined) return;
    this.#await(wait, new Set());
    this.#waits.splice(at, 1);
    this.#forget((store) => store.wait === wait);
  }

  #await(wait: Wait, counters: Set<string>): void {
    const { listeners } = this.#context;
    const before = this.#awaiting;
    this.#awaiting += (counters.size > 0 ? 1 : 0) - (wait.awaited.size > 0 ? 1 : 0);
    wait.awaited = counters;
    if (before === 0 && this.#awaiting > 0) for (const kind of STORES) listeners.add(kind, this);
    if (before > 0 && this.#awaiting === 0) for (const kind of STORES) listeners.remove(kind, this);
  }

  #lowered(counter: string): void {
    const { now, operations, listeners } = this.#context;
    const { index, ctx } = now;
    const activity = operations.activity(ctx);
    for (const wait of this.#waits) {
      if (!wait.awaited.has(counter)) continue;
      this.#stores.push({ wait, counter, index, ctx, activity });
      if (this.#stores.length === 1) for (const kind of AFTER_STORE) listeners.add(kind, this);
    }
  }

  /** A coroutine or handler stops, or (for a doing without an end) another one begins. */
  #stops(kind: number, id: number): void {
    const { now } = this.#context;
    const isCoroutine = kind === Ev.co_yield || kind === Ev.co_terminate;
    for (const store of this.#stores) {
      const over = store.activity < 0 ? isCoroutine && store.activity === -id : !isCoroutine;
      if (store.ctx === now.ctx && over) this.#noteStore(store);
    }
    this.#forget(
      (store) =>
        store.ctx === now.ctx &&
        (store.activity < 0 ? isCoroutine && store.activity === -id : !isCoroutine),
    );
  }

  #forget(which: (store: Store) => boolean): void {
    if (this.#stores.length === 0) return;
    const kept = this.#stores.filter((store) => !which(store));
    this.#stores.splice(0, this.#stores.length, ...kept);
    if (kept.length > 0) return;
    for (const kind of AFTER_STORE) this.#context.listeners.remove(kind, this);
  }

  #noteStore({ wait, counter, index, ctx }: Store): void {
    const [kind = "", id] = counter.split(" ");
    const { graph } = this.#context;
    const node =
      kind === "job"
        ? graph.job(Number(id))
        : kind === "blk"
          ? graph.blk(Number(id))
          : graph.node(Number(id));
    const story = new Story(wait.site, 0, { owner: node, ctx });
    this.#note(`${wait.site} ${kind}`, index, story, node);
  }

  #noteLost(ctx: number, site: number): void {
    this.#note(`${site} lost`, this.#context.now.index, new Story(site, ctx, null), null);
  }

  /** `node` is whose counter went to zero. */
  #note(key: string, index: number, told: Story, node: Holdable | null): void {
    this.#context.drafts.tell("lost-wakeup", key, index, {
      why: { code: "told", told },
      node,
      site: told.site,
    });
  }
}

class Story {
  readonly site: number;
  readonly #ctx: number;
  /** What was lowered without a kick, and where; null for a wait that sleeps for ever. */
  readonly #store: { readonly owner: Holdable; readonly ctx: number } | null;

  constructor(
    site: number,
    ctx: number,
    store: { readonly owner: Holdable; readonly ctx: number } | null,
  ) {
    this.site = site;
    this.#ctx = ctx;
    this.#store = store;
  }

  title(names: Names): string {
    const where = names.site(this.site).name || "a wait";
    return this.#store === null
      ? `${names.ctx(this.#ctx)} sleeps in ${where} although what it waits for has come true.`
      : `Nobody wakes the wait in ${where} when what it waits for comes true.`;
  }

  why(names: Names): string {
    const store = this.#store;
    if (store === null)
      return "Whoever made the condition true did not kick afterwards, or kicked where that wakes nobody: aio_wait_kick wakes main alone.";
    return `${names.ctx(store.ctx)} made the ${wordOf(store.owner, names)} zero that the wait had read as non-zero, and stopped without a kick after that; a kick before the store wakes main too early, and it sleeps again.`;
  }

  identity(names: Names): readonly string[] {
    const what = this.#store === null ? "lost" : this.#store.owner.kind;
    return [names.site(this.site).name, what];
  }
}

function wordOf(owner: Holdable, names: Names): string {
  const word = owner.kind === "job" ? "busy flag" : "in-flight counter";
  return `${word} of ${names.objectText(owner)}`;
}
