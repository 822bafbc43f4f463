// Where a reader takes its bytes from: memory, or an open file of which only a window is in memory.

import { fstatSync, readSync } from "node:fs";
import { QuiesceError } from "#core/base";

/** Random access to the bytes of a trace. */
export interface ByteSource {
  readonly size: number;
  /** The open file whose bytes these are, when it is one that no longer grows: another thread may read it, too. */
  readonly fd?: number;
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

/** The bytes of the open file `fd`, which somebody is still writing: its size is asked for anew each time. */
export function growingFdSource(fd: number): ByteSource {
  const { read } = fdSource(fd);
  return {
    get size() {
      return reading(() => fstatSync(fd).size);
    },
    read,
  };
}

/** The bytes of the open file `fd`, which the caller closes. Throws QuiesceError("input") when it cannot be read. */
export function fdSource(fd: number): ByteSource {
  return {
    fd,
    size: reading(() => fstatSync(fd).size),
    read: (offset, target) =>
      reading(() => {
        let done = 0;
        while (done < target.length) {
          const count = readSync(fd, target, done, target.length - done, offset + done);
          if (count === 0) break;
          done += count;
        }
        return done;
      }),
  };
}

function reading<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof Error) || !("code" in error)) throw error;
    throw new QuiesceError("input", `The trace cannot be read from the disk (${error.code}).`);
  }
}
