// How the reads and writes of one file are carried out (aio=...), and how `auto` chooses between two of the ways.
//
//   threads    libuv's thread pool (of four, or UV_THREADPOOL_SIZE): what blocks, blocks there
//   io_uring   the same calls, which libuv hands to the kernel's ring when UV_USE_IO_URING=1 was set as the process began
//   inline     the calling thread, which waits
//   auto       the calling thread while that is quick; the pool when the disk had to be waited for
//
// From the page cache a read takes a microsecond or two, and handing it to another thread and back takes ten. `auto` measures every
// operation that it does inline. Two in a row that took too long send the next ones to the pool: one alone says little, since the
// processor may have been given to another process meanwhile. Then a single one is tried inline again, and if that is slow too,
// twice as many go to the pool before the next try. What was done inline is in a recording as `io_now`, so a replay needs neither
// the clock nor this policy.

import type { FileAio } from "#core/sched";

/** Larger ones go to the pool: other clients would wait while so much is copied. */
export const INLINE_BYTES_MAX = 1024 * 1024;
/** An inline operation that took longer waited for a disk. */
const SLOW_MS = 0.3;
/** ... and as much for each so many bytes: from the page cache they take a tenth of it. */
const SLOW_BYTES = 256 * 1024;
const SLOW_IN_A_ROW = 2;
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
  #slowInARow = 0;

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
    if (ms <= SLOW_MS * (1 + bytes / SLOW_BYTES)) {
      this.#penalty = PENALTY_MIN;
      this.#slowInARow = 0;
    } else if (++this.#slowInARow >= SLOW_IN_A_ROW) {
      this.#pooled = this.#penalty;
      this.#penalty = Math.min(this.#penalty * 2, PENALTY_MAX);
    }
  }
}
