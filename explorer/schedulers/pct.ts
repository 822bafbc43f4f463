// PCT, probabilistic concurrency testing (Burckhardt, Kothari, Musuvathi and Nagarakatte 2010): each context gets a random
// priority, the highest that can run takes the next step, and at `depth - 1` steps drawn beforehand the one that runs falls
// below all others. A mistake that needs `depth` ordering constraints is found with probability at least 1 / (n * k^(depth-1)).
//
// Where this deviates: `steps` (k) is a guess given by the caller, since a run's length is not known beforehand; and contexts that
// appear later draw their priority when first seen.

import { assert, must, type Prng } from "#core/base";
import type { AioContext, Scheduler } from "#core/sched";

/** Priorities by chance, lowered at `depth - 1` of about `steps` steps. */
export class Pct implements Scheduler {
  readonly #prng: Prng;
  readonly #priorities = new Map<number, number>();
  readonly #changes: ReadonlySet<number>;
  #lowest = 0;
  #step = 0;

  constructor(prng: Prng, depth = 3, steps = 50_000) {
    assert(depth >= 1, "a depth counts from one");
    assert(steps > 0, "a run has steps");
    this.#prng = prng;
    this.#changes = new Set(Array.from({ length: depth - 1 }, () => prng.below(steps)));
  }

  pick(runnable: readonly AioContext[], _byDefault: AioContext): AioContext {
    const highest = this.#highest(runnable);
    if (!this.#changes.has(this.#step++)) return highest;
    this.#priorities.set(highest.id, --this.#lowest);
    return this.#highest(runnable);
  }

  #highest(runnable: readonly AioContext[]): AioContext {
    let best: AioContext | null = null;
    let bestPriority = Number.NEGATIVE_INFINITY;
    for (const ctx of runnable) {
      const priority = this.#priorityOf(ctx);
      if (priority > bestPriority) {
        best = ctx;
        bestPriority = priority;
      }
    }
    return must(best, "one can run");
  }

  #priorityOf(ctx: AioContext): number {
    let priority = this.#priorities.get(ctx.id);
    if (priority === undefined) {
      priority = 1 + this.#prng.u32();
      this.#priorities.set(ctx.id, priority);
    }
    return priority;
  }
}
