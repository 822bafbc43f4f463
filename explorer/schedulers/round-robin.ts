// Round robin: every context that can run gets `steps` steps in turn. The finest regular interleaving there is (steps = 1), and
// the fairest: nobody starves, which makes it the strategy for showing that a wait ends.

import { assert, must } from "#core/base";
import type { AioContext, Scheduler } from "#core/sched";

/** Goes around the contexts by index, `steps` steps each. */
export class RoundRobin implements Scheduler {
  readonly #steps: number;
  #turn = -1;
  #taken = 0;

  constructor(steps = 1) {
    assert(steps > 0, "a turn has steps");
    this.#steps = steps;
  }

  pick(runnable: readonly AioContext[], _byDefault: AioContext): AioContext {
    const current = runnable.find((ctx) => ctx.id === this.#turn);
    if (current !== undefined && this.#taken < this.#steps) {
      this.#taken++;
      return current;
    }
    const next = runnable.find((ctx) => ctx.id > this.#turn) ?? must(runnable[0], "one can run");
    this.#turn = next.id;
    this.#taken = 1;
    return next;
  }
}
