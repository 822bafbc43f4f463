// A run in which nothing can ever run again: what each frame waits for, and contexts that wait for each other.
//
// The core says at the end which frames wait (`stuck`). A frame that is a drain's waits for counters: the one that its condition
// read last as above zero, and the requests that hold it. Two contexts wait for each other when each has a drain that waits for
// a request which has come to rest in the other (or so around a longer circle). A context that is blocked on a lock has no
// frame for that, so circles through locks show in the order of locks (lock-order.ts), not here.

import { Ev, RUN_STATUSES } from "#core/probe";
import type { StuckFrame, Why } from "../drafts.ts";
import type { Holdable } from "../model/graph.ts";
import { NEVER } from "../order/knowledge.ts";
import type { Pass, PassContext } from "./pass.ts";

/** A counter that a section's condition read as above zero. */
interface Busy {
  readonly owner: Holdable;
  readonly value: number;
}

export class Deadlock implements Pass {
  readonly kinds = [
    Ev.bs_in_flight_read,
    Ev.blk_in_flight_read,
    Ev.job_busy_read,
    Ev.drain_poll_end,
    Ev.drain_end,
    Ev.stuck,
    Ev.run_end,
  ] as const;
  readonly #context: PassContext;
  /** What sections that poll have read last as busy. */
  readonly #busy = new Map<number, Busy>();
  readonly #frames: StuckFrame[] = [];

  constructor(context: PassContext) {
    this.#context = context;
  }

  on(kind: number, a: number, b: number, c: number): void {
    const { graph } = this.#context;
    if (kind === Ev.stuck) this.#frames.push(this.#frame(a, b, c));
    else if (kind === Ev.run_end) {
      if (RUN_STATUSES[a] === "deadlock") this.#end();
    } else if (kind === Ev.drain_poll_end || kind === Ev.drain_end) this.#busy.delete(a);
    else if (b !== 0 && c !== 0) {
      const owner =
        kind === Ev.bs_in_flight_read
          ? graph.node(a)
          : kind === Ev.blk_in_flight_read
            ? graph.blk(a)
            : graph.job(a);
      this.#busy.set(c, { owner, value: b });
    }
  }

  finish(): void {}

  #frame(ctx: number, depth: number, site: number): StuckFrame {
    const { sections } = this.#context;
    const section = sections.open.findLast(
      (open) =>
        open.ctx === ctx &&
        open.site === site &&
        open.pollEnd === NEVER &&
        !this.#frames.some((frame) => frame.section === open),
    );
    const busy = section === undefined ? undefined : this.#busy.get(section.id);
    if (section === undefined || busy === undefined)
      return { ctx, depth, site, section: null, waits: null };
    return { ctx, depth, site, section, waits: { ...busy, holders: this.#holders(busy.owner) } };
  }

  /** The requests that hold the counter of a BlockBackend; of nodes the trace does not say. */
  #holders(owner: Holdable): NonNullable<StuckFrame["waits"]>["holders"] {
    const holders: { id: number; ctx: number; request: StuckRequest }[] = [];
    if (owner.kind !== "blk") return holders;
    this.#context.orders.tasks.forEach((task) => {
      if (task.holds(owner.id))
        holders.push({ id: task.id, ctx: task.lastCtx, request: task.request });
    });
    return holders.sort((x, y) => x.id - y.id);
  }

  #end(): void {
    const frames = this.#frames;
    const note = (
      rule: "deadlock" | "contexts-wait-in-circle",
      circle: readonly number[],
    ): void => {
      const why: Why = { code: "stuck", frames, circle };
      const site = frames[0]?.site ?? 0;
      this.#context.drafts.tell(rule, "", this.#context.now.index, { why, node: null, site });
    };
    note("deadlock", []);
    const circle = this.#circle();
    if (circle !== null) note("contexts-wait-in-circle", circle);
  }

  /** Contexts of which each waits for a request that rests in the next, and the last for one in the first; null for none. */
  #circle(): number[] | null {
    const next = new Map<number, Set<number>>();
    for (const { ctx, waits } of this.#frames) {
      const targets = next.get(ctx) ?? new Set();
      for (const holder of waits?.holders ?? []) if (holder.ctx !== ctx) targets.add(holder.ctx);
      next.set(ctx, targets);
    }
    const search = (path: readonly number[]): number[] | null => {
      for (const to of next.get(path[path.length - 1] as number) ?? []) {
        if (to === path[0]) return [...path];
        const found = path.includes(to) ? null : search([...path, to]);
        if (found !== null) return found;
      }
      return null;
    };
    for (const start of next.keys()) {
      const found = search([start]);
      if (found !== null) return found;
    }
    return null;
  }
}

type StuckRequest = NonNullable<StuckFrame["waits"]>["holders"][number]["request"];
