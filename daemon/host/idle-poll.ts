// Looking for work before sleeping (C: aio_poll with poll-max-ns, util/aio-posix.c).
//
// A process that sleeps has to be woken, and a processor that slept is slow at first: with one request at a time that takes as long as
// the request. So an idle host may ask the system again and again for a while, turn by turn of libuv, before it lets it sleep. How long is
// learned from the waits, as in QEMU: twice as long after a wait that was longer, and not at all after one that was longer than is
// allowed. That is for a processor that nobody else wants. If others have it for much of the time that is looked, which a turn of libuv
// shows that took long though nothing came, nobody looks for a while. Nothing of it is in a recording, as nothing but time depends on it.

import { performance } from "node:perf_hooks";

/** The shortest time that it is worth looking (C: 4 us). */
const POLL_MIN_NS = 4_000;
/** A turn of libuv that finds nothing takes a few microseconds. In a longer one others had the processor. */
const TURN_MAX_NS = 50_000;
/** After so much looking it is judged how much of it was lost to others: more than a sixteenth is too much. */
const JUDGED_NS = 100_000_000;
const LOST_SHARE_MAX = 1 / 16;
/** So long nobody looks then; twice as long each time that it is too much again. */
const REST_MIN_NS = 400_000_000;
const REST_MAX_NS = 3_200_000_000;

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
  /** When it was looked last, or the wait began. */
  #lookedNs = 0;
  /** Since it was judged: how long it was looked, and how much of that was lost to others. */
  #lookingNs = 0;
  #lostNs = 0;
  #restNs = REST_MIN_NS;
  #restsUntilNs = 0;

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
    const now = this.#clock.nowNs();
    this.#idleSinceNs = now;
    this.#lookedNs = now;
    this.#isIdle = true;
    // A look that is on its way goes on for this wait.
    if (this.#pollNs > 0 && !this.#isLooking && now >= this.#restsUntilNs) this.#lookAgain();
  }

  /** Something has arrived. */
  end(): void {
    if (!this.#isIdle) return;
    this.#isIdle = false;
    const now = this.#clock.nowNs();
    if (this.#isLooking) this.#count(now);
    const waitedNs = now - this.#idleSinceNs;
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
    if (!this.#isIdle) return;
    const now = this.#clock.nowNs();
    this.#count(now);
    const isEnough = now - this.#idleSinceNs >= this.#pollNs;
    if (!isEnough && now >= this.#restsUntilNs) this.#lookAgain();
  };

  /** A turn of looking is over. */
  #count(now: number): void {
    const turnNs = now - this.#lookedNs;
    this.#lookedNs = now;
    this.#lookingNs += turnNs;
    if (turnNs > TURN_MAX_NS) this.#lostNs += turnNs;
    if (this.#lookingNs >= JUDGED_NS) this.#judge(now);
  }

  /** Who looks while others wait for the processor takes it from those that have work: the client, perhaps. */
  #judge(now: number): void {
    if (this.#lostNs <= LOST_SHARE_MAX * this.#lookingNs) this.#restNs = REST_MIN_NS;
    else {
      this.#restsUntilNs = now + this.#restNs;
      this.#restNs = Math.min(2 * this.#restNs, REST_MAX_NS);
    }
    this.#lookingNs = 0;
    this.#lostNs = 0;
  }
}
