// Looking for work before sleeping (C: aio_poll with poll-max-ns, util/aio-posix.c).
//
// A process that sleeps has to be woken, and a processor that slept is slow at first: with one request at a time that takes as long as
// the request. So an idle host may ask the system again and again for a while, turn by turn of libuv, before it lets it sleep. How long is
// learned from the waits, as in QEMU: twice as long after a wait that was longer, and not at all after one that was longer than is
// allowed. That takes a processor that nobody else wants. Nothing of it is in a recording, as nothing but time depends on it.

import { performance } from "node:perf_hooks";

/** The shortest time that it is worth looking (C: 4 us). */
const POLL_MIN_NS = 4_000;

/** The clock, and what comes after a turn of libuv that does not sleep. */
export interface PollClock {
  nowNs(): number;
  afterTurn(goOn: () => void): void;
}

const LIVE_CLOCK: PollClock = {
  nowNs: () => performance.now() * 1e6,
  afterTurn: (goOn) => void setImmediate(goOn),
};

export class IdlePoll {
  #maxNs: number;
  /** By what the time is multiplied after a wait that was longer, and divided after one that was too long; 0: 2, and to nothing. */
  #grow = 0;
  #shrink = 0;
  readonly #clock: PollClock;
  /** How long is looked in the next wait; 0: not at all. */
  #pollNs = 0;
  #idleSinceNs = 0;
  #isIdle = false;
  #isLooking = false;

  /** `maxNs`: the longest that is looked; 0 is never. */
  constructor(maxNs: number, clock = LIVE_CLOCK) {
    this.#maxNs = maxNs;
    this.#clock = clock;
  }

  /** From now on; what has been learned stays, as far as it is allowed. */
  set(maxNs: number, grow = 0, shrink = 0): void {
    this.#maxNs = maxNs;
    this.#grow = grow;
    this.#shrink = shrink;
    this.#pollNs = Math.min(this.#pollNs, maxNs);
  }

  /** Nothing can run, and nothing has arrived. */
  begin(): void {
    if (this.#maxNs === 0) return;
    this.#idleSinceNs = this.#clock.nowNs();
    this.#isIdle = true;
    // A look that is on its way goes on for this wait.
    if (this.#pollNs > 0 && !this.#isLooking) this.#lookAgain();
  }

  /** Something has arrived. */
  end(): void {
    if (!this.#isIdle) return;
    this.#isIdle = false;
    const waitedNs = this.#clock.nowNs() - this.#idleSinceNs;
    if (waitedNs > this.#maxNs)
      this.#pollNs = this.#shrink === 0 ? 0 : Math.floor(this.#pollNs / this.#shrink);
    else if (waitedNs > this.#pollNs) {
      const longer = (this.#grow === 0 ? 2 : this.#grow) * this.#pollNs;
      this.#pollNs = Math.min(this.#maxNs, Math.max(POLL_MIN_NS, longer));
    }
  }

  #lookAgain(): void {
    this.#isLooking = true;
    this.#clock.afterTurn(this.#look);
  }

  readonly #look = (): void => {
    this.#isLooking = false;
    const isEnough = this.#clock.nowNs() - this.#idleSinceNs >= this.#pollNs;
    if (this.#isIdle && !isEnough) this.#lookAgain();
  };
}
