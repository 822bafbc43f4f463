// How many accesses happened at which time of a context: a short sorted list of (time, count). Answers "how many of them
// does somebody know who knows that context up to time t". Exact up to BUCKETS_MAX different times; beyond that, times that
// main knows already become one, then the two oldest become one at the later time: what is known is then understated, by
// counts only, since the newest access always keeps its own time.

const BUCKETS_MAX = 64;

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
    while (at > 0 && (times[at - 1] as number) > time) at--;
    if (at > 0 && times[at - 1] === time) {
      this.#counts[at - 1] = (this.#counts[at - 1] as number) + count;
    } else if (at === times.length) {
      times.push(time);
      this.#counts.push(count);
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
    if (this.#times.length < 2) return;
    const last = this.#times[this.#times.length - 1] as number;
    const sum = this.#counts.reduce((a, b) => a + b, 0);
    this.#times.splice(0, this.#times.length, last);
    this.#counts.splice(0, this.#counts.length, sum);
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
    let merged = 1;
    while (merged < times.length && (times[merged] as number) <= known) merged++;
    merged = Math.max(merged, times.length - BUCKETS_MAX + 2, 2);
    const sum = this.#counts.slice(0, merged).reduce((a, b) => a + b, 0);
    const last = times[merged - 1] as number;
    times.splice(0, merged, last);
    this.#counts.splice(0, merged, sum);
  }
}
