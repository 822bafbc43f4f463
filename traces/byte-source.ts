// Where a reader takes its bytes from: memory, or an open file of which only a window is in memory.

import { fstatSync, readSync } from "node:fs";

/** Random access to the bytes of a trace. */
export interface ByteSource {
  readonly size: number;
  /** Fills `target` from `offset` on; returns how many bytes there were. */
  read(offset: number, target: Uint8Array): number;
}

/** The bytes of `bytes`. */
export function bytesSource(bytes: Uint8Array): ByteSource {
  return {
    size: bytes.length,
    read: (offset, target) => {
      const part = bytes.subarray(offset, offset + target.length);
      target.set(part);
      return part.length;
    },
  };
}

/** The bytes of the open file `fd`, which the caller closes. */
export function fdSource(fd: number): ByteSource {
  return {
    size: fstatSync(fd).size,
    read: (offset, target) => {
      let done = 0;
      while (done < target.length) {
        const count = readSync(fd, target, done, target.length - done, offset + done);
        if (count === 0) break;
        done += count;
      }
      return done;
    },
  };
}
