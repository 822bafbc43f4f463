// Secrets and TLS credentials of the live host. They never leave it: the core has handles, and a number when something is wrong.
//
// Credentials are folders of files with QEMU's names. They are read, and looked at, when they are loaded: a daemon whose certificate
// has expired says so at once, and not to the first client.

import { createDecipheriv, X509Certificate } from "node:crypto";
import fs from "node:fs";
import { join } from "node:path";
import tls from "node:tls";
import { EINVAL, errnoFromCode, type HostHandle, must } from "#core/base";
import type { HostResult, SecretSpec, TlsCredsSpec } from "#core/sched";
import { type CredentialFile, Reason, reasonNumber } from "./credential-reasons.ts";
import { priorityOptions } from "./gnutls-priority.ts";
import type { LiveTls } from "./live-handshake.ts";

type FileName = (typeof CredentialFile)[number];

/** What a credential file may have at most: a few certificates, or thousands of keys. */
const FILE_BYTES_MAX = 1024 * 1024;

/** Key exchanges by pre-shared keys; in TLS 1.3 they go with this hash. */
const PSK_CIPHERS = "TLS_AES_128_GCM_SHA256:kECDHEPSK:kDHEPSK:kPSK:!eNULL";

/** Why something cannot be kept. */
class Refusal extends Error {
  readonly errno: number;
  readonly reason: number;

  constructor(reason: number, errno = EINVAL) {
    super("refused");
    this.errno = errno;
    this.reason = reason;
  }
}

/** Every secret and credential of one host, by handle. */
export class LiveCredentials {
  readonly #secrets = new Map<number, Buffer>();
  readonly #creds = new Map<number, LiveTls>();
  readonly #newHandle: () => HostHandle;

  constructor(newHandle: () => HostHandle) {
    this.#newHandle = newHandle;
  }

  has(handle: HostHandle): boolean {
    return this.#secrets.has(handle) || this.#creds.has(handle);
  }

  close(handle: HostHandle): void {
    this.#secrets.get(handle)?.fill(0);
    this.#secrets.delete(handle);
    this.#creds.delete(handle);
  }

  /** The call `secret`. */
  openSecret(spec: SecretSpec): HostResult {
    return refusable(() => {
      const handle = this.#newHandle();
      this.#secrets.set(handle, this.#secretOf(spec));
      return handle;
    });
  }

  #secretOf({ source, format, key }: SecretSpec): Buffer {
    if ("data" in source && source.data === null) throw new Refusal(Reason.secretTooLong);
    const given = "file" in source ? secretFile(source.file) : Buffer.from(source.data ?? "");
    if (key !== null) {
      // What is encrypted is given in base64, whatever it is when decrypted.
      const plain = this.#decrypt(fromBase64(given), key);
      return format === "base64" ? fromBase64(plain) : plain;
    }
    return format === "base64" ? fromBase64(given) : given;
  }

  #decrypt(data: Buffer, { handle, iv }: NonNullable<SecretSpec["key"]>): Buffer {
    const key = must(this.#secrets.get(handle), "the key is a secret of this host");
    const vector = fromBase64(Buffer.from(iv));
    if (key.length !== 32) throw new Refusal(Reason.keyLength);
    if (vector.length !== 16) throw new Refusal(Reason.ivLength);
    try {
      const cipher = createDecipheriv("aes-256-cbc", key, vector);
      return Buffer.concat([cipher.update(data), cipher.final()]);
    } catch {
      throw new Refusal(Reason.decryption);
    }
  }

  /** The call `tls_creds`. */
  openCreds(spec: TlsCredsSpec): HostResult {
    return refusable(() => {
      const password = spec.password === null ? undefined : this.#secrets.get(spec.password);
      const options = spec.kind === "x509" ? x509(spec, password) : psk(spec);
      const handle = this.#newHandle();
      this.#creds.set(handle, options);
      return handle;
    });
  }

  /** How their end shakes hands. */
  liveTls(handle: number): LiveTls {
    return must(this.#creds.get(handle), "handshakes are made with credentials of this host");
  }
}

function refusable(open: () => HostHandle): HostResult {
  try {
    return { ret: 0, value: open() };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { ret: -error.errno, value: error.reason };
  }
}

function secretFile(path: string): Buffer {
  try {
    return fs.readFileSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new Refusal(Reason.secretUnreadable, errnoFromCode(code));
  }
}

/** Strictly: what is no base64 is refused. Line ends are passed over, since files end in one. */
function fromBase64(text: Buffer): Buffer {
  const clean = text.toString("latin1").replace(/[\r\n]/g, "");
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(clean) || clean.length % 4 !== 0)
    throw new Refusal(Reason.base64);
  return Buffer.from(clean, "base64");
}

function file(dir: string, name: FileName, required: boolean): Buffer | undefined {
  try {
    const data = fs.readFileSync(join(dir, name));
    if (data.length > FILE_BYTES_MAX) throw new Refusal(reasonNumber(Reason.tooLong, name));
    return data;
  } catch (error) {
    if (error instanceof Refusal) throw error;
    const { code } = error as NodeJS.ErrnoException;
    if (!required && code === "ENOENT") return undefined;
    throw new Refusal(reasonNumber(Reason.unreadable, name), errnoFromCode(code));
  }
}

function commonOptions({ priority }: TlsCredsSpec): tls.SecureContextOptions {
  const options = priorityOptions(priority ?? "NORMAL");
  if (options === null) throw new Refusal(Reason.priority);
  return options;
}

/** qcrypto_tls_creds_x509_load (crypto/tlscredsx509.c). */
function x509(spec: TlsCredsSpec, password: Buffer | undefined): LiveTls {
  const { dir, isServer, verifyPeer, sanityCheck } = spec;
  const certName = isServer ? "server-cert.pem" : "client-cert.pem";
  const keyName = isServer ? "server-key.pem" : "client-key.pem";
  const ca = must(file(dir, "ca-cert.pem", true), "what is required is there");
  const crl = isServer ? file(dir, "ca-crl.pem", false) : undefined;
  const cert = file(dir, certName, isServer);
  const key = file(dir, keyName, isServer);
  const dhparam = isServer ? file(dir, "dh-params.pem", false) : undefined;
  const authorities = certificates(ca, "ca-cert.pem");
  const own = cert === undefined ? [] : certificates(cert, certName);
  if (sanityCheck) checkCertificates(authorities, own, certName);
  const options: tls.SecureContextOptions = {
    ...commonOptions(spec),
    ca,
    ...(crl === undefined ? {} : { crl }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(dhparam === undefined ? {} : { dhparam }),
    ...(password === undefined ? {} : { passphrase: password.toString() }),
  };
  try {
    tls.createSecureContext(options);
  } catch {
    throw new Refusal(reasonNumber(Reason.unusable, keyName));
  }
  if (!isServer) return { isServer, options: { ...options, verifiesPeer: verifyPeer } };
  const peers = { requestCert: verifyPeer, rejectUnauthorized: verifyPeer };
  return { isServer, options: { ...options, ...peers } };
}

/** Every certificate of a PEM file. */
function certificates(pem: Buffer, name: FileName): X509Certificate[] {
  const pattern = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;
  const found = pem.toString("latin1").match(pattern) ?? [];
  if (found.length === 0) throw new Refusal(reasonNumber(Reason.unusable, name));
  try {
    return found.map((one) => new X509Certificate(one));
  } catch {
    throw new Refusal(reasonNumber(Reason.unusable, name));
  }
}

/** qcrypto_tls_creds_x509_sanity_check: times, basic constraints, and that the authority stands for our own certificate. */
function checkCertificates(
  authorities: readonly X509Certificate[],
  own: readonly X509Certificate[],
  ownName: FileName,
): void {
  for (const one of authorities) {
    checkTimes(one, "ca-cert.pem");
    if (!one.ca) throw new Refusal(reasonNumber(Reason.noAuthority, "ca-cert.pem"));
  }
  const [leaf] = own;
  if (leaf === undefined) return;
  checkTimes(leaf, ownName);
  if (leaf.ca) throw new Refusal(reasonNumber(Reason.isAuthority, ownName));
  if (!isTrusted(leaf, own.slice(1), authorities))
    throw new Refusal(reasonNumber(Reason.untrusted, ownName));
}

function checkTimes(one: X509Certificate, name: FileName): void {
  const now = Date.now();
  if (Date.parse(one.validTo) < now) throw new Refusal(reasonNumber(Reason.expired, name));
  if (Date.parse(one.validFrom) > now) throw new Refusal(reasonNumber(Reason.notYet, name));
}

/** Whether a chain leads from `leaf` through some of `between` to one of the authorities. */
function isTrusted(
  leaf: X509Certificate,
  between: readonly X509Certificate[],
  authorities: readonly X509Certificate[],
): boolean {
  const signs = (issuer: X509Certificate) =>
    leaf.checkIssued(issuer) && leaf.verify(issuer.publicKey);
  if (authorities.some(signs)) return true;
  const issuer = between.find(signs);
  if (issuer === undefined) return false;
  return isTrusted(
    issuer,
    between.filter((one) => one !== issuer),
    authorities,
  );
}

/** qcrypto_tls_creds_psk_load (crypto/tlscredspsk.c): lines of `username:key`, the key in hexadecimal digits. */
function psk(spec: TlsCredsSpec): LiveTls {
  const text = must(file(spec.dir, "keys.psk", true), "what is required is there");
  const keys = new Map<string, Buffer>();
  for (const line of text.toString().split("\n")) {
    if (line === "" || line.startsWith("#")) continue;
    const match = /^([^:]+):((?:[0-9a-fA-F]{2})+)\r?$/.exec(line);
    if (match === null) throw new Refusal(reasonNumber(Reason.unusable, "keys.psk"));
    keys.set(must(match[1], "a name"), Buffer.from(must(match[2], "a key"), "hex"));
  }
  const common = { ...commonOptions(spec), ciphers: PSK_CIPHERS };
  if (spec.isServer) {
    const pskCallback = (_socket: unknown, identity: string) => keys.get(identity) ?? null;
    return { isServer: true, options: { ...common, dhparam: "auto", pskCallback } };
  }
  const key = keys.get(spec.username);
  if (key === undefined) throw new Refusal(reasonNumber(Reason.noSuchUser, "keys.psk"));
  // Who knows the key is who it says it is: there is no certificate to look at.
  const pskCallback = () => ({ psk: key, identity: spec.username });
  return { isServer: false, options: { ...common, pskCallback, verifiesPeer: false } };
}
