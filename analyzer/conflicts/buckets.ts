// How many accesses happened at which time of a context: a short sorted list of (time, count). Answers "how many of them
// does somebody know who knows that context up to time t". Exact up to BUCKETS_MAX different times; beyond that, times that
// main knows already become one, then the two oldest become one at the later time: what is known is then understated, by
// counts only, since the newest access always keeps its own time.

const BUCKETS_MAX = 64;

export class Buckets {
  #times = new Int32Array(4);
  #counts = new Int32Array(4);
  #length = 0;

  /** `count` accesses at `time`; `known` is up to where main knows that context. */
  add(time: number, count: number, known: number): void {
    let at = this.#length;
    while (at > 0 && (this.#times[at - 1] as number) > time) at--;
    if (at > 0 && this.#times[at - 1] === time) {
      (this.#counts[at - 1] as number) += count;
      return;
    }
    if (this.#length === BUCKETS_MAX) {
      this.#compact(known);
      this.add(time, count, known);
      return;
    }
    if (this.#length === this.#times.length) this.#grow();
    this.#times.copyWithin(at + 1, at, this.#length);
    this.#counts.copyWithin(at + 1, at, this.#length);
    this.#times[at] = time;
    this.#counts[at] = count;
    this.#length++;
  }

  addAll(from: Buckets, known: number): void {
    for (let i = 0; i < from.#length; i++)
      this.add(from.#times[i] as number, from.#counts[i] as number, known);
  }

  /** How many happened up to `time`. */
  upTo(time: number): number {
    let sum = 0;
    for (let i = 0; i < this.#length && (this.#times[i] as number) <= time; i++)
      sum += this.#counts[i] as number;
    return sum;
  }

  #grow(): void {
    const times = new Int32Array(this.#times.length * 4);
    const counts = new Int32Array(times.length);
    times.set(this.#times);
    counts.set(this.#counts);
    this.#times = times;
    this.#counts = counts;
  }

  #compact(known: number): void {
    let merged = 1;
    while (merged < this.#length && (this.#times[merged] as number) <= known) merged++;
    if (merged < 2) merged = 2;
    let sum = 0;
    for (let i = 0; i < merged; i++) sum += this.#counts[i] as number;
    const last = merged - 1;
    this.#times[0] = this.#times[last] as number;
    this.#counts[0] = sum;
    this.#times.copyWithin(1, merged, this.#length);
    this.#counts.copyWithin(1, merged, this.#length);
    this.#length -= last;
  }
}
