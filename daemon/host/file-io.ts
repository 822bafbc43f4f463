// Reading and writing a whole range of a file, however often the operating system does less than it was asked.

import fs from "node:fs";
import { EINVAL, errnoFromCode } from "#core/base";

/** Called once, with null or with the system's error. */
export type Done = (error: NodeJS.ErrnoException | null) => void;

/**
 * Fill `into` from `offset` on; what lies beyond the end of the file reads as zero. Past the cache, a file that ends within a block cannot
 * be asked for what follows: EINVAL after some bytes is the end, as in QEMU.
 */
export function readAll(fd: number, into: Uint8Array, offset: number, done: Done): void {
  let at = 0;
  const more = () => {
    if (at >= into.length) return setImmediate(done, null);
    return fs.read(fd, into, at, into.length - at, offset + at, (error, bytes) => {
      const isEnd = error === null ? bytes === 0 : error.code === "EINVAL" && at > 0;
      if (error !== null && !isEnd) return done(error);
      if (isEnd) {
        into.fill(0, at);
        return done(null);
      }
      at += bytes;
      return at < into.length ? more() : done(null);
    });
  };
  more();
}

/** Write all of `from` at `offset`. A disk that takes nothing and says so without an error is refused as QEMU does it, with EINVAL. */
export function writeAll(fd: number, from: Uint8Array, offset: number, done: Done): void {
  let at = 0;
  const more = () => {
    if (at >= from.length) return setImmediate(done, null);
    return fs.write(fd, from, at, from.length - at, offset + at, (error, bytes) => {
      if (error !== null) return done(error);
      if (bytes === 0)
        return done(Object.assign(new Error("nothing was written"), { code: "EINVAL" }));
      at += bytes;
      return at < from.length ? more() : done(null);
    });
  };
  more();
}

/** As readAll, by the calling thread: 0 or a negated errno. */
export function readNow(fd: number, into: Uint8Array, start: number, range: FileRange): number {
  const { offset, bytes } = range;
  let at = 0;
  try {
    for (let count = 1; at < bytes && count > 0; at += count)
      count = fs.readSync(fd, into, start + at, bytes - at, offset + at);
  } catch (error) {
    const errno = errnoFromCode((error as NodeJS.ErrnoException).code);
    if (errno !== EINVAL || at === 0) return -errno;
  }
  if (at < bytes) into.fill(0, start + at, start + bytes);
  return 0;
}

/** As writeAll, by the calling thread: 0 or a negated errno. */
export function writeNow(fd: number, from: Uint8Array, start: number, range: FileRange): number {
  const { offset, bytes } = range;
  try {
    for (let at = 0; at < bytes; ) {
      const count = fs.writeSync(fd, from, start + at, bytes - at, offset + at);
      if (count === 0) return -EINVAL;
      at += count;
    }
    return 0;
  } catch (error) {
    return -errnoFromCode((error as NodeJS.ErrnoException).code);
  }
}

/** A range of a file. */
export interface FileRange {
  readonly offset: number;
  readonly bytes: number;
}
