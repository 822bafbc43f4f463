// Random switching: with a fixed probability any context that can run takes the next step, else the default one does. The
// probability decides what is found: rare switches let operations run to their middle, frequent ones interleave finely.

import { assert, type Prng } from "#core/base";
import type { AioContext, Scheduler } from "#core/sched";

/** Switches to a context drawn uniformly in `numerator` of `denominator` steps. */
export class RandomSwitch implements Scheduler {
  readonly #prng: Prng;
  readonly #numerator: number;
  readonly #denominator: number;

  constructor(prng: Prng, numerator = 1, denominator = 4) {
    assert(numerator > 0, "it switches now and then");
    assert(numerator <= denominator, "a probability is at most one");
    this.#prng = prng;
    this.#numerator = numerator;
    this.#denominator = denominator;
  }

  pick(runnable: readonly AioContext[], byDefault: AioContext): AioContext {
    if (runnable.length === 1) return byDefault;
    if (!this.#prng.chance(this.#numerator, this.#denominator)) return byDefault;
    return this.#prng.pick(runnable);
  }
}
