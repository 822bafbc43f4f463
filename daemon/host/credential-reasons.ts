// Why the live host keeps no secret or credential: a number in a trace, a sentence for the user.

import { must, strerror } from "#core/base";
import type { HostRefusal } from "#core/sched";

/** The files of credentials, by QEMU's names. */
export const CredentialFile = [
  "",
  "ca-cert.pem",
  "ca-crl.pem",
  "dh-params.pem",
  "server-cert.pem",
  "server-key.pem",
  "client-cert.pem",
  "client-key.pem",
  "keys.psk",
] as const;

/** `%p` is the file, `%e` the error. */
const SENTENCES = [
  "Unable to access credentials %p: %e",
  "The credentials in %p are too long",
  "Unable to use the credentials in %p",
  "The certificate %p has expired",
  "The certificate %p is not yet active",
  "The certificate %p basic constraints do not show a CA",
  "The certificate %p basic constraints show a CA, but we need one for a server or client",
  "Our own certificate %p failed validation against ca-cert.pem",
  "Username not found in PSK file %p",
  "Unable to set the TLS priority: it is not understood",
  "Key should be 32 bytes in length",
  "IV should be 16 bytes in length",
  "The secret could not be decrypted",
  "The secret is no valid base64 data",
  "Unable to read %p: %e",
  "The secret is too long",
] as const;

/** Numbers of the sentences. */
export const Reason = {
  unreadable: 0,
  tooLong: 1,
  unusable: 2,
  expired: 3,
  notYet: 4,
  noAuthority: 5,
  isAuthority: 6,
  untrusted: 7,
  noSuchUser: 8,
  priority: 9,
  keyLength: 10,
  ivLength: 11,
  decryption: 12,
  base64: 13,
  secretUnreadable: 14,
  secretTooLong: 15,
} as const;

/** A sentence about a file as one number. */
export function reasonNumber(reason: number, name: (typeof CredentialFile)[number]): number {
  return CredentialFile.indexOf(name) * SENTENCES.length + reason;
}

/** The sentence. `place` is the folder of the credentials, or the file of a secret. */
export function refusalText({ errno, reason }: HostRefusal, place: string): string {
  const sentence = must(SENTENCES[reason % SENTENCES.length], "a sentence has a number");
  const name = CredentialFile[Math.floor(reason / SENTENCES.length)] ?? "";
  const path = name === "" ? place : `${place}/${name}`;
  return sentence.replace(/%[pe]/g, (what) => (what === "%p" ? path : strerror(errno)));
}
