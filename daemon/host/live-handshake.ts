// The handshake of TLS on a connection that began in plain text, as a server.

import type { Duplex } from "node:stream";
import tls, { type TLSSocket } from "node:tls";
import { ECONNRESET, EIO } from "#core/base";

/** The encrypted stream and who is at its other end; or why there is none. */
export type Handshake =
  | { readonly stream: TLSSocket; readonly peer: string }
  | { readonly stream: null; readonly errno: number };

/** Shake hands over `plain`, and say once how it went. What `plain` has received already is the first of the handshake. */
export function serverHandshake(
  plain: Duplex,
  options: tls.TlsOptions,
  done: (result: Handshake) => void,
): void {
  let isOver = false;
  const over = (result: Handshake) => {
    if (isOver) return;
    isOver = true;
    done(result);
  };
  // A server of its own for each: so a session is never resumed, and every client proves who it is.
  const server = tls.createServer({ ...options, allowHalfOpen: true });
  server.on("secureConnection", (stream) =>
    over({ stream, peer: options.requestCert === true ? nameOf(stream) : "" }),
  );
  // Whatever the client did wrong: the connection is of no more use.
  server.on("tlsClientError", () => over({ stream: null, errno: EIO }));
  plain.on("error", () => over({ stream: null, errno: ECONNRESET }));
  plain.on("close", () => over({ stream: null, errno: ECONNRESET }));
  server.emit("connection", plain);
}

/** The distinguished name as GnuTLS writes it, which is how QEMU's rules name it. */
function nameOf(stream: TLSSocket): string {
  return stream.getPeerX509Certificate()?.subject.split("\n").join(",") ?? "";
}
