// The handshake of TLS on a connection that began in plain text, as a server or as a client.

import type { Duplex } from "node:stream";
import tls, { type TLSSocket } from "node:tls";
import { ECONNRESET, EIO } from "#core/base";

/** The encrypted stream and who is at its other end; or why there is none: a server says no more than a number of it. */
export type Handshake =
  | { readonly stream: TLSSocket; readonly peer: string }
  | { readonly stream: null; readonly errno: number; readonly why?: string };

/** What a client shakes hands with. */
export interface ClientTls extends tls.ConnectionOptions {
  /** The server's certificate is looked at. */
  readonly verifiesPeer: boolean;
}

/** What one end shakes hands with. */
export type LiveTls =
  | { readonly isServer: true; readonly options: tls.TlsOptions }
  | { readonly isServer: false; readonly options: ClientTls };

/** Shake hands over `plain`; `hostname` is what a server's certificate must be made out to. */
export function liveHandshake(
  plain: Duplex,
  live: LiveTls,
  hostname: string,
  done: (result: Handshake) => void,
): void {
  if (live.isServer) serverHandshake(plain, live.options, done);
  else clientHandshake(plain, live.options, hostname, done);
}

/** Shake hands over `plain`, and say once how it went. What `plain` has received already is the first of the handshake. */
function serverHandshake(
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

/** What GnuTLS would say of a certificate, by what OpenSSL does. */
const CERTIFICATE_FAULTS: ReadonlyMap<string, string> = new Map([
  ["CERT_HAS_EXPIRED", "The certificate has expired"],
  ["CERT_NOT_YET_VALID", "The certificate is not yet activated"],
  ["CERT_REVOKED", "The certificate has been revoked"],
  ["CERT_UNTRUSTED", "The certificate is not trusted"],
  ["CERT_REJECTED", "The certificate is not trusted"],
  ["CERT_SIGNATURE_FAILURE", "The certificate is not trusted"],
  ["DEPTH_ZERO_SELF_SIGNED_CERT", "The certificate hasn't got a known issuer"],
  ["SELF_SIGNED_CERT_IN_CHAIN", "The certificate hasn't got a known issuer"],
  ["UNABLE_TO_GET_ISSUER_CERT", "The certificate hasn't got a known issuer"],
  ["UNABLE_TO_GET_ISSUER_CERT_LOCALLY", "The certificate hasn't got a known issuer"],
  ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", "The certificate hasn't got a known issuer"],
]);

/** Shake hands over `plain` as the client; the server's certificate must be made out to `hostname`, and be one that we trust. */
function clientHandshake(
  plain: Duplex,
  { verifiesPeer, ...options }: ClientTls,
  hostname: string,
  done: (result: Handshake) => void,
): void {
  let isOver = false;
  const over = (result: Handshake) => {
    if (isOver) return;
    isOver = true;
    done(result);
  };
  if (verifiesPeer && hostname === "") {
    over({ stream: null, errno: EIO, why: "No hostname for certificate validation" });
    return;
  }
  const stream = tls.connect({
    ...options,
    socket: plain,
    rejectUnauthorized: verifiesPeer,
    checkServerIdentity: (_host, certificate) =>
      verifiesPeer ? tls.checkServerIdentity(hostname, certificate) : undefined,
  });
  stream.once("secureConnect", () => over({ stream, peer: "" }));
  stream.on("error", (error) => over({ stream: null, errno: EIO, why: faultOf(error, hostname) }));
  stream.on("close", () => over({ stream: null, errno: EIO, why: HUNG_UP }));
  plain.on("error", () => over({ stream: null, errno: ECONNRESET, why: HUNG_UP }));
  plain.on("close", () => over({ stream: null, errno: ECONNRESET, why: HUNG_UP }));
}

const HUNG_UP = "TLS handshake failed: The TLS connection was non-properly terminated.";

function faultOf({ code = "", message }: NodeJS.ErrnoException, hostname: string): string {
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID")
    return `Certificate does not match the hostname ${hostname}`;
  if (code === "ECONNRESET") return HUNG_UP;
  return CERTIFICATE_FAULTS.get(code) ?? `TLS handshake failed: ${reasonIn(message)}`;
}

/** OpenSSL's words, without its numbers and source lines. */
function reasonIn(message: string): string {
  const parts = message.split(":").map((part) => part.trim());
  return parts.find((part) => /^[a-z][a-z0-9 /_-]* [a-z0-9 /_-]*$/i.test(part)) ?? "unknown";
}

/** The distinguished name as GnuTLS writes it, which is how QEMU's rules name it. */
function nameOf(stream: TLSSocket): string {
  return stream.getPeerX509Certificate()?.subject.split("\n").join(",") ?? "";
}
