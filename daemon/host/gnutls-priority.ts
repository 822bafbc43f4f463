// Priority strings of GnuTLS, in which QEMU's users say what TLS may do, as options of Node's.
//
// Understood are the keywords that start a string, versions, and the key exchanges that credentials of pre-shared keys add anyway.
// What is not understood is refused: a wish for more security must not be passed over.

import type tls from "node:tls";

/** What a priority string allows. */
export type Priority = Pick<tls.SecureContextOptions, "minVersion" | "maxVersion" | "ciphers">;

const VERSIONS = ["TLSv1.2", "TLSv1.3"] as const;
type Version = (typeof VERSIONS)[number];

const STRONG = [
  "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256",
  "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305",
].join(":");

/** First words, and the ciphers that they restrict to; undefined: to Node's. */
const KEYWORDS: ReadonlyMap<string, string | undefined> = new Map([
  ["NORMAL", undefined],
  ["PERFORMANCE", undefined],
  ["SECURE128", undefined],
  ["SECURE192", STRONG],
  ["SECURE256", STRONG],
]);

const KEY_EXCHANGES: ReadonlySet<string> = new Set(["+PSK", "+DHE-PSK", "+ECDHE-PSK"]);

/** The options for `text`; null when it is not understood, or leaves no version that there is. */
export function priorityOptions(text: string): Priority | null {
  const words = text.split(":");
  const first = keywordOf(words.shift() ?? "");
  if (!KEYWORDS.has(first)) return null;
  const ciphers = KEYWORDS.get(first);
  const allowed = new Set<Version>(VERSIONS);
  for (const word of words) {
    if (!KEY_EXCHANGES.has(word) && !chooseVersion(allowed, word)) return null;
  }
  const left = VERSIONS.filter((version) => allowed.has(version));
  const [minVersion, maxVersion] = [left[0], left.at(-1)];
  if (minVersion === undefined || maxVersion === undefined) return null;
  return { minVersion, maxVersion, ...(ciphers === undefined ? {} : { ciphers }) };
}

/** `@SYSTEM` and the like name what the machine's administrator has chosen, of which Node knows nothing. */
function keywordOf(word: string): string {
  if (!word.startsWith("@")) return word;
  return word.split(",").find((one) => KEYWORDS.has(one)) ?? "NORMAL";
}

/** `+VERS-TLS1.3`, `-VERS-ALL` and the like; false when the word is no such. Versions before 1.2 are never spoken. */
function chooseVersion(allowed: Set<Version>, word: string): boolean {
  const match = /^([-+!])VERS-(?:TLS)?(ALL|-ALL|1\.[0-3])$/.exec(word);
  if (match === null) return false;
  const [, sign, which = ""] = match;
  for (const version of VERSIONS) {
    if (!which.endsWith("ALL") && version !== `TLSv${which}`) continue;
    if (sign === "+") allowed.add(version);
    else allowed.delete(version);
  }
  return true;
}
