// How many accesses happened at which time of a context: a short sorted list of (time, count). Answers "how many of them
// does somebody know who knows that context up to time t". Exact up to BUCKETS_MAX different times; beyond that, times that
// main knows already become one, and then, when that is not enough, the oldest quarter at its latest time: what is known is
// then understated, by counts only, since the newest access always keeps its own time.

const BUCKETS_MAX = 64;
/** After making room there are no more than these, so that room is made once for many. */
const BUCKETS_LEFT = 48;

export class Buckets {
  /** Time and count of each in turn; not made shorter when it holds fewer, as it is filled again soon. */
  readonly #pairs: number[] = [];
  #size = 0;

  /** Whether `compact` is due before the next add. */
  get isFull(): boolean {
    return this.#size >= BUCKETS_MAX;
  }

  #time(i: number): number {
    return this.#pairs[2 * i] as number;
  }

  #count(i: number): number {
    return this.#pairs[2 * i + 1] as number;
  }

  #put(i: number, time: number, count: number): void {
    this.#pairs[2 * i] = time;
    this.#pairs[2 * i + 1] = count;
  }

  /** `count` accesses at `time`. Hot: nearly always the latest. */
  add(time: number, count: number): void {
    let at = this.#size;
    while (at > 0 && this.#time(at - 1) > time) at--;
    if (at > 0 && this.#time(at - 1) === time) this.#put(at - 1, time, this.#count(at - 1) + count);
    else this.#insert(at, time, count);
  }

  #insert(at: number, time: number, count: number): void {
    for (let i = this.#size; i > at; i--) this.#put(i, this.#time(i - 1), this.#count(i - 1));
    this.#put(at, time, count);
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
    for (let i = 0; i < from.#size; i++) this.add(from.#time(i), from.#count(i));
  }

  /** How many happened up to `time`. */
  upTo(time: number): number {
    let sum = 0;
    for (let i = 0; i < this.#size && this.#time(i) <= time; i++) sum += this.#count(i);
    return sum;
  }

  /** Make room; `known` is up to where main knows that context. */
  compact(known: number): void {
    let merged = 1;
    while (merged < this.#size && this.#time(merged) <= known) merged++;
    merged = Math.max(merged, this.#size - BUCKETS_LEFT + 1);
    this.#mergeOldest(Math.min(merged, this.#size));
  }

  #mergeOldest(merged: number): void {
    let sum = 0;
    for (let i = 0; i < merged; i++) sum += this.#count(i);
    this.#put(0, this.#time(merged - 1), sum);
    let kept = 1;
    for (let i = merged; i < this.#size; i++, kept++)
      this.#put(kept, this.#time(i), this.#count(i));
    this.#size = kept;
  }
}
