// Accepted sockets that read into memory of ours.
//
// Node gives every read of a socket 64 KiB of new memory, of which most is given back: of what a small request costs, that is a
// large part. A socket with the option `onread` reads into what it is given instead, but accepted sockets come without options.
// So the handle, of which nothing was read yet, is taken over by a socket of our own.

import net from "node:net";

/** Where a socket reads to. */
export interface Hearing {
  /** Memory for the next read. */
  readonly nextBuffer: () => Buffer;
  /** So many bytes of it have come; false: read no further before somebody asks, by `read(0)`. */
  readonly heard: (bytes: number, buffer: Buffer) => boolean;
}

/** What Node's types do not say: the handle of a socket. */
interface WithHandle {
  _handle?: object | null;
}

/** A socket in place of `accepted`, which was paused as it came; null when there is no handle to take: it is closed. */
export function intoBuffers(accepted: net.Socket, hearing: Hearing): net.Socket | null {
  const { _handle: handle } = accepted as WithHandle;
  if (accepted.destroyed || handle === undefined || handle === null) return null;
  (accepted as WithHandle)._handle = null;
  accepted.destroy();
  const options: net.SocketConstructorOpts & {
    readonly handle: object;
    readonly onread: net.OnReadOpts;
  } = {
    handle,
    allowHalfOpen: true,
    onread: {
      buffer: hearing.nextBuffer,
      callback: (bytes, buffer) => hearing.heard(bytes, buffer as Buffer),
    },
  };
  return new net.Socket(options);
}
