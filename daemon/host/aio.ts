// How the reads and writes of one file are carried out (aio=...), and how `auto` chooses between two of the ways.
//
//   threads    libuv's thread pool (of four, or UV_THREADPOOL_SIZE): what blocks, blocks there
//   io_uring   the same calls, which libuv hands to the kernel's ring when UV_USE_IO_URING=1 was set as the process began
//   inline     the calling thread, which waits
//   auto       the calling thread while that is quick; the pool when the disk had to be waited for
//
// From the page cache a read takes a microsecond or two, and handing it to another thread and back takes ten. `auto` measures every
// operation that it does inline. That one took too long says little: on a busy machine the processor was given to another process
// meanwhile, which comes to one operation of a hundred or fewer, as an operation is so much shorter than what a process gets of a
// processor. A disk that is waited for shows in many. So SLOW_MIN of the last SLOW_WINDOW send the next ones to the pool. Then a single
// one is tried inline again, and if that is slow too, twice as many go to the pool before the next try. What was done inline is in a
// recording as `io_now`, so a replay needs neither the clock nor this policy.

import type { FileAio } from "#core/sched";

/** Larger ones go to the pool: other clients would wait while so much is copied. */
export const INLINE_BYTES_MAX = 1024 * 1024;
/** An inline operation that took longer waited for a disk. */
const SLOW_MS = 0.3;
/** ... and as much for each so many bytes: from the page cache they take a tenth of it. */
const SLOW_BYTES = 256 * 1024;
/** By chance, with one slow one of a hundred: 1820 ways for 4 of 16, each of 10^-8, some two in a hundred thousand. */
const SLOW_MIN = 4;
const SLOW_WINDOW = 16;
const WINDOW_MASK = 2 ** SLOW_WINDOW - 1;
/** Operations that go to the pool after slow ones: at first, and at most. */
const PENALTY_MIN = 16;
const PENALTY_MAX = 4096;

/** Whether libuv uses the kernel's ring in this process; it looks at the variable once, when it first needs it. */
export function hasIoUring(): boolean {
  return Number(process.env.UV_USE_IO_URING ?? "0") > 0;
}

/** Decides for one file. */
export class AioPolicy {
  readonly mode: FileAio;
  /** Operations that still go to the pool. */
  #pooled = 0;
  #penalty = PENALTY_MIN;
  /** Which of the last SLOW_WINDOW inline ones were slow, a bit for each, the last one the lowest. */
  #slow = 0;
  /** The next inline one is a try, after others went to the pool. */
  #tries = false;

  constructor(mode: FileAio) {
    this.mode = mode;
  }

  /** Whether an operation on `bytes` bytes is done by the calling thread; if not, it goes to the pool. */
  isInline(bytes: number): boolean {
    if (this.wouldBeInline(bytes)) return true;
    if (this.mode === "auto" && bytes <= INLINE_BYTES_MAX) this.#pooled--;
    return false;
  }

  /** The same of an operation that may be given up. */
  wouldBeInline(bytes: number): boolean {
    if (this.mode === "inline") return true;
    return this.mode === "auto" && bytes <= INLINE_BYTES_MAX && this.#pooled === 0;
  }

  /** An inline operation on `bytes` bytes took `ms` milliseconds. */
  took(ms: number, bytes: number): void {
    const isSlow = ms > SLOW_MS * (1 + bytes / SLOW_BYTES);
    if (isSlow || this.#slow !== 0) this.#slow = ((this.#slow << 1) | Number(isSlow)) & WINDOW_MASK;
    if (!isSlow) {
      if (!this.#tries) return;
      this.#tries = false;
      this.#slow = 0;
      this.#penalty = PENALTY_MIN;
      return;
    }
    if (!this.#tries && bitsOf(this.#slow) < SLOW_MIN) return;
    this.#tries = true;
    this.#pooled = this.#penalty;
    this.#penalty = Math.min(this.#penalty * 2, PENALTY_MAX);
  }
}

function bitsOf(word: number): number {
  let count = 0;
  for (let rest = word; rest !== 0; rest &= rest - 1) count++;
  return count;
}
