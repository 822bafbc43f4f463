// Reads and writes past the cache of the operating system (O_DIRECT). The disk then takes and fills memory itself, which must begin and end
// at multiples of its blocks. Guest memory here does not, so everything goes through memory that does (aligned-memory.ts), as it does in
// QEMU for requests of guests that are not aligned. The block layer sees to it that offsets and lengths are (`request_alignment`).

import fs from "node:fs";
import { EINVAL, ENOMEM, errnoFromCode } from "#core/base";
import type { HostOp, HostResult } from "#core/sched";
import { AlignedMemory, PAGE_BYTES } from "./aligned-memory.ts";
import { type Done, readAll, readNow, writeAll, writeNow } from "./file-io.ts";
import { contentsOf } from "./op-memory.ts";

/** Blocks that are tried, smallest first. */
const ALIGNMENTS = [1, 512, 1024, 2048, PAGE_BYTES] as const;

export class DirectIo {
  readonly #memory = new AlignedMemory();

  /**
   * raw_probe_alignment (block/file-posix.c:375): the smallest block that can be read. When any number of bytes can, as behind the end of
   * a file that is empty, nothing is known, and the largest is safe. Only EINVAL says no: other errors are those of the disk.
   */
  alignmentOf(fd: number): HostResult {
    const page = this.#memory.take(PAGE_BYTES);
    if (page === null) return { ret: -ENOMEM, value: 0 };
    const found = ALIGNMENTS.find((bytes) => canRead(fd, page, bytes));
    this.#memory.give(page);
    if (found === undefined) return { ret: -EINVAL, value: 0 };
    return { ret: 0, value: found === 1 ? PAGE_BYTES : found };
  }

  /** Read or write in the calling thread: 0 or a negated errno. */
  now(fd: number, op: HostOp): number {
    const memory = this.#memory.take(op.bytes);
    if (memory === null) return -ENOMEM;
    if (op.type === "write") memory.set(contentsOf(op));
    const ret = op.type === "read" ? readNow(fd, memory, 0, op) : writeNow(fd, memory, 0, op);
    if (op.type === "read" && ret === 0) contentsOf(op).set(memory);
    this.#memory.give(memory);
    return ret;
  }

  /** Read or write in another thread. */
  later(fd: number, op: HostOp, done: Done): void {
    const memory = this.#memory.take(op.bytes);
    if (memory === null) {
      setImmediate(done, Object.assign(new Error("out of memory"), { code: "ENOMEM" }));
      return;
    }
    const over: Done = (error) => {
      if (op.type === "read" && error === null) contentsOf(op).set(memory);
      this.#memory.give(memory);
      done(error);
    };
    if (op.type === "write") memory.set(contentsOf(op));
    if (op.type === "read") readAll(fd, memory, op.offset, over);
    else writeAll(fd, memory, op.offset, over);
  }
}

/** raw_is_io_aligned. */
function canRead(fd: number, page: Uint8Array, bytes: number): boolean {
  try {
    fs.readSync(fd, page, 0, bytes, 0);
    return true;
  } catch (error) {
    return errnoFromCode((error as NodeJS.ErrnoException).code) !== EINVAL;
  }
}
