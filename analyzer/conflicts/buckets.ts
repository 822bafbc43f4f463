// How many accesses happened at which time of a context: a short sorted list of (time, count). Answers "how many of them
// does somebody know who knows that context up to time t". Exact up to BUCKETS_MAX different times; beyond that, times that
// main knows already become one, and then, when that is not enough, the oldest quarter at its latest time: what is known is
// then understated, by counts only, since the newest access always keeps its own time.

const BUCKETS_MAX = 64;
/** After making room there are no more than these, so that room is made once for many. */
const BUCKETS_LEFT = 48;

export class Buckets {
  /** The first `size` of each; arrays are not made shorter, as they are filled again soon. */
  readonly #times: number[] = [];
  readonly #counts: number[] = [];
  #size = 0;

  /** Whether `compact` is due before the next add. */
  get isFull(): boolean {
    return this.#size >= BUCKETS_MAX;
  }

  /** `count` accesses at `time`. Hot: nearly always the latest. */
  add(time: number, count: number): void {
    const times = this.#times;
    let at = this.#size;
    while (at > 0 && (times[at - 1] as number) > time) at--;
    if (at > 0 && times[at - 1] === time)
      this.#counts[at - 1] = (this.#counts[at - 1] as number) + count;
    else this.#insert(at, time, count);
  }

  #insert(at: number, time: number, count: number): void {
    const times = this.#times;
    const counts = this.#counts;
    for (let i = this.#size; i > at; i--) {
      times[i] = times[i - 1] as number;
      counts[i] = counts[i - 1] as number;
    }
    times[at] = time;
    counts[at] = count;
    this.#size++;
  }

  clear(): void {
    this.#size = 0;
  }

  /** Let all of them have happened at the latest time: for those that main knows, whose times nobody will ask for. */
  collapse(): void {
    if (this.#size > 1) this.#mergeOldest(this.#size);
  }

  addAll(from: Buckets): void {
    for (let i = 0; i < from.#size; i++)
      this.add(from.#times[i] as number, from.#counts[i] as number);
  }

  /** How many happened up to `time`. */
  upTo(time: number): number {
    let sum = 0;
    for (let i = 0; i < this.#size && (this.#times[i] as number) <= time; i++)
      sum += this.#counts[i] as number;
    return sum;
  }

  /** Make room; `known` is up to where main knows that context. */
  compact(known: number): void {
    let merged = 1;
    while (merged < this.#size && (this.#times[merged] as number) <= known) merged++;
    merged = Math.max(merged, this.#size - BUCKETS_LEFT + 1);
    this.#mergeOldest(Math.min(merged, this.#size));
  }

  #mergeOldest(merged: number): void {
    const times = this.#times;
    const counts = this.#counts;
    let sum = 0;
    for (let i = 0; i < merged; i++) sum += counts[i] as number;
    times[0] = times[merged - 1] as number;
    counts[0] = sum;
    let kept = 1;
    for (let i = merged; i < this.#size; i++, kept++) {
      times[kept] = times[i] as number;
      counts[kept] = counts[i] as number;
    }
    this.#size = kept;
  }
}
