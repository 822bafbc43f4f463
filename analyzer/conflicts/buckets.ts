// How many accesses happened at which time of a context: a short sorted list of (time, count). Answers "how many of them
// does somebody know who knows that context up to time t". Exact up to BUCKETS_MAX different times; beyond that, times that
// main knows already become one, and then, when that is not enough, the oldest quarter at its latest time: what is known is
// then understated, by counts only, since the newest access always keeps its own time.

import { assert } from "#core/base";

const BUCKETS_MAX = 64;
/** After making room there are no more than these, so that room is made once for many. */
const BUCKETS_LEFT = 48;

export class Buckets {
  readonly #times: number[] = [];
  readonly #counts: number[] = [];

  /** Whether `compact` is due before the next add. */
  get isFull(): boolean {
    return this.#times.length >= BUCKETS_MAX;
  }

  /** `count` accesses at `time`. */
  add(time: number, count: number): void {
    const times = this.#times;
    let at = times.length;
    if (at === 0 || (times[at - 1] as number) < time) {
      times.push(time);
      this.#counts.push(count);
      return;
    }
    while (at > 0 && (times[at - 1] as number) > time) at--;
    if (at > 0 && times[at - 1] === time) {
      this.#counts[at - 1] = (this.#counts[at - 1] as number) + count;
    } else {
      times.splice(at, 0, time);
      this.#counts.splice(at, 0, count);
    }
  }

  clear(): void {
    this.#times.length = 0;
    this.#counts.length = 0;
  }

  /** Let all of them have happened at the latest time: for those that main knows, whose times nobody will ask for. */
  collapse(): void {
    if (this.#times.length > 1) this.#mergeOldest(this.#times.length);
  }

  addAll(from: Buckets): void {
    from.#times.forEach((time, i) => {
      this.add(time, from.#counts[i] as number);
    });
  }

  /** How many happened up to `time`. */
  upTo(time: number): number {
    let sum = 0;
    for (let i = 0; i < this.#times.length && (this.#times[i] as number) <= time; i++) {
      sum += this.#counts[i] as number;
    }
    return sum;
  }

  /** Make room; `known` is up to where main knows that context. */
  compact(known: number): void {
    const times = this.#times;
    const counts = this.#counts;
    let merged = 1;
    while (merged < times.length && (times[merged] as number) <= known) merged++;
    merged = Math.max(merged, times.length - BUCKETS_LEFT + 1);
    this.#mergeOldest(Math.min(merged, times.length));
    assert(times.length === counts.length, "each time has its count");
  }

  #mergeOldest(merged: number): void {
    const times = this.#times;
    const counts = this.#counts;
    let sum = 0;
    for (let i = 0; i < merged; i++) sum += counts[i] as number;
    times[0] = times[merged - 1] as number;
    counts[0] = sum;
    let kept = 1;
    for (let i = merged; i < times.length; i++, kept++) {
      times[kept] = times[i] as number;
      counts[kept] = counts[i] as number;
    }
    times.length = kept;
    counts.length = kept;
  }
}
