// The task reading for the oracle: which unit each event belongs to, told from the events before it, and what comes directly
// before it in the order of units. order/units.ts says what a unit is; no code is shared.

import { Ev, WORLD_CTX } from "#core/probe";

interface Step {
  readonly kind: number;
  readonly ctx: number;
  readonly args: readonly [number, number, number, number];
}

/** What runs in a context: a handler is named after the event that began it, a coroutine after its number. */
interface Running {
  readonly unit: string;
  readonly co: number;
}

export class OracleUnits {
  readonly #steps: readonly Step[];
  readonly #units: string[] = [];
  /** Events that come directly before an event: by its unit's order, and by a coroutine's being entered or left. */
  readonly #inUnit: number[][] = [];
  readonly #byCall: number[][] = [];

  constructor(steps: readonly Step[]) {
    this.#steps = steps;
    const stacks = new Map<number, Running[]>();
    const loops = new Map<number, string>();
    /** By unit: events that it comes after since it was called, or since what it called came back. */
    const called = new Map<string, number[]>();
    steps.forEach(({ kind, ctx, args }, i) => {
      const stack = stacks.get(ctx) ?? [];
      stacks.set(ctx, stack);
      const current = (): string => stack.at(-1)?.unit ?? loops.get(ctx) ?? `loop ${ctx}`;
      const before = current();
      const isMain = ctx === 0 || ctx === WORLD_CTX;
      if (!isMain && (kind === Ev.bh_run || kind === Ev.fd_run))
        stack.push({ unit: `handler ${i}`, co: 0 });
      else if (!isMain && kind === Ev.co_enter) {
        const unit = this.#coroutine(i, args[0]);
        stack.push({ unit, co: args[0] });
        if (unit !== before)
          called.set(unit, [...(called.get(unit) ?? []), ...this.#lastOf(before)]);
        // What the caller itself came after, its callee comes after too.
        if (unit !== before) called.get(unit)?.push(...(called.get(before) ?? []));
      } else if (!isMain && (kind === Ev.timer_run || kind === Ev.io_done) && stack.length === 0)
        loops.set(ctx, `loop since ${i}`);
      const unit = isMain ? `main ${ctx}` : current();
      this.#inUnit.push([...this.#lastOf(unit), ...this.#submitted(i)]);
      this.#byCall.push(called.get(unit) ?? []);
      this.#units.push(unit);
      const top = stack.at(-1);
      if (isMain || top === undefined) return;
      if (kind === Ev.bh_done && top.co === 0) stack.pop();
      else if ((kind === Ev.co_yield || kind === Ev.co_terminate) && top.co === args[0]) {
        stack.pop();
        const back = current();
        if (back !== unit) called.set(back, [...(called.get(back) ?? []), i]);
      }
    });
  }

  /** Events directly before event `i` in its unit, and, where that is an edge, by calls. */
  preds(i: number, calls: boolean): number[] {
    return [...(this.#inUnit[i] ?? []), ...(calls ? (this.#byCall[i] ?? []) : [])];
  }

  /** A coroutine in a context, from its first entry there until it ends there. */
  #coroutine(i: number, co: number): string {
    const { ctx } = this.#steps[i] as Step;
    let since = i;
    for (let j = i - 1; j >= 0; j--) {
      const step = this.#steps[j] as Step;
      if (step.ctx !== ctx || step.args[0] !== co) continue;
      if (step.kind === Ev.co_terminate) break;
      if (step.kind === Ev.co_enter) since = j;
    }
    return `coroutine ${co} since ${since}`;
  }

  #lastOf(unit: string): number[] {
    const last = this.#units.lastIndexOf(unit);
    return last < 0 ? [] : [last];
  }

  /** The submissions of the operation that completes at event `i`, since it last did, off the main context. */
  #submitted(i: number): number[] {
    const { kind, ctx, args } = this.#steps[i] as Step;
    if (kind !== Ev.io_done || ctx === 0) return [];
    const found: number[] = [];
    for (let j = i - 1; j >= 0; j--) {
      const step = this.#steps[j] as Step;
      if (step.args[0] !== args[0] || step.ctx === 0) continue;
      if (step.kind === Ev.io_done) break;
      if (step.kind === Ev.io_submit) found.push(j);
    }
    return found;
  }
}
