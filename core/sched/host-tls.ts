// Secrets and TLS through the door (design D4): the host keeps them, the core has handles.
//
// Neither a secret nor a key is ever in the core's memory, so none can get into a trace. Once a socket has shaken hands, what is
// received from it is what the peer said, not what was on the wire: a recording of such a session replays as one without TLS.

import {
  assert,
  type ByteCount,
  type ByteOffset,
  type HostHandle,
  strerror,
} from "../base/index.ts";
import { site } from "../probe/index.ts";
import type { Co } from "./colours.ts";
import type { GuestBuffer, HostCallRequest } from "./host.ts";
import { hostAllocate, hostCall, hostReveal, hostSubmit } from "./host-io.ts";

const SITE_HANDSHAKE = site("qio_channel_tls_handshake");

/** C: QCryptoSecret. `data` null: it was given, but too long to keep. In replay nobody looks at it. */
export interface SecretSpec {
  readonly source: { readonly data: string | null } | { readonly file: string };
  readonly format: "raw" | "base64";
  /** The secret that this one is encrypted with (AES-256-CBC), and the first block's vector in base64. */
  readonly key: { readonly handle: HostHandle; readonly iv: string } | null;
}

/** C: QCryptoTLSCreds: a folder of files with the names that QEMU gives them. */
export interface TlsCredsSpec {
  readonly kind: "x509" | "psk";
  readonly dir: string;
  readonly isServer: boolean;
  /** A priority string of GnuTLS, as far as the host understands those. */
  readonly priority: string | null;
  /** X.509 server: whether clients must show a certificate of the authority's. */
  readonly verifyPeer: boolean;
  /** X.509: certificates are looked at when they are loaded. */
  readonly sanityCheck: boolean;
  /** X.509: what the key is encrypted with. */
  readonly password: HostHandle | null;
  /** PSK client: who it is. */
  readonly username: string;
}

/** The host's no: a positive errno, and a number by which it says of what (which one means what is the host's matter). */
export interface HostRefusal {
  readonly errno: number;
  readonly reason: number;
}

/** qcrypto_secret_complete: load a secret. Common. */
export function hostSecret(secret: SecretSpec): HostHandle | HostRefusal {
  return kept({ call: "secret", secret });
}

/** qcrypto_tls_creds_x509_load and qcrypto_tls_creds_psk_load. Common. */
export function hostTlsCreds(creds: TlsCredsSpec): HostHandle | HostRefusal {
  return kept({ call: "tls_creds", creds });
}

/** object_unref of a secret or credentials: the host forgets them. Common. */
export function hostClose(handle: HostHandle): void {
  hostCall({ call: "close", handle });
}

function kept(request: HostCallRequest): HostHandle | HostRefusal {
  const { ret, value } = hostCall(request);
  return ret < 0 ? { errno: -ret, reason: value } : (value as HostHandle);
}

/** Bytes of the name that a server must have, or of the sentence that says why there was no handshake. */
const CLIENT_TEXT_BYTES = 1024;

/**
 * qio_channel_tls_handshake, as a client: from here on the connection is encrypted. `hostname` is what the server's certificate must
 * be made out to; null where it names nobody. Returns null, or why there is no such connection. Nothing may be under way on it.
 * Common.
 */
export function* socketHandshakeClient(
  socket: HostHandle,
  creds: HostHandle,
  hostname: string | null,
): Co<string | null> {
  assert(socket !== creds, "credentials are no socket");
  const name = new TextEncoder().encode(hostname ?? "");
  if (name.length >= CLIENT_TEXT_BYTES) return "The hostname is too long";
  const text = hostAllocate(CLIENT_TEXT_BYTES);
  text.data?.fill(0);
  text.data?.set(name);
  const bytes = CLIENT_TEXT_BYTES as ByteCount;
  const ret = yield* hostSubmit("handshake", socket, creds as number as ByteOffset, bytes, text, 0);
  if (ret === 0) return null;
  if (ret < 0) return strerror(-ret);
  return new TextDecoder().decode(hostReveal(SITE_HANDSHAKE, text, 0, ret));
}

/**
 * qio_channel_tls_handshake, as a server: from here on the connection is encrypted. The distinguished name that the peer has proven
 * is put into `peer`; returns its bytes, 0 where nothing was asked for, or a negated errno. Nothing may be under way on it. Common.
 */
export function* socketHandshake(
  socket: HostHandle,
  creds: HostHandle,
  peer: GuestBuffer,
): Co<number> {
  assert(socket !== creds, "credentials are no socket");
  const bytes = peer.length as ByteCount;
  const ret = yield* hostSubmit("handshake", socket, creds as number as ByteOffset, bytes, peer, 0);
  assert(ret <= peer.length, "a name fits where it was put");
  return ret;
}
