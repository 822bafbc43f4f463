// What is typed as a secret over QMP is sealed before anything of it is revealed: the text of every string that is the value of a key
// `data`, which only secrets have, is replaced by a token. The texts stay in a vault that is empty in replay, where nobody asks.

import { JsonLexer, type Token } from "./json-lexer.ts";
import { parseJson } from "./json-stream.ts";

/** Texts that wait to be used, and bytes of one of them. */
const TEXTS_MAX = 16;
const TEXT_BYTES_MAX = 256 * 1024;

/** Sealed texts by token; live, it is filled by a `SecretSeal`. */
export class SecretVault {
  readonly #texts = new Map<string, string>();
  #count = 0;

  /** Keep `text`; the oldest that nobody asked for makes room. */
  put(text: string): string {
    const token = `sealed-${++this.#count}`;
    this.#texts.set(token, text);
    const [oldest] = this.#texts.keys();
    if (this.#texts.size > TEXTS_MAX && oldest !== undefined) this.#texts.delete(oldest);
    return token;
  }

  /** The text, once; null when it is not there. */
  take(token: string): string | null {
    const text = this.#texts.get(token) ?? null;
    this.#texts.delete(token);
    return text;
  }
}

/** Bytes that come out of so many, at most: `"data":""` gets a token of up to 23 bytes, and one may be due from before. */
export function sealedBytesMax(bytes: number): number {
  return 4 * bytes + 24;
}

/** Where the stream stands, as far as it matters. */
type Place = "outside" | "after-data" | "before-value";

/** One connection's stream, wherever it is cut; what is a string is for the lexer of what comes after it to say. */
export class SecretSeal {
  readonly #vault: SecretVault;
  readonly #lexer = new JsonLexer((token) => this.#token(token), TEXT_BYTES_MAX);
  #place: Place = "outside";
  /** The string that is read is a secret. */
  #isSecret = false;
  /** Of the secret that has just ended. */
  #text: string | null = null;

  constructor(vault: SecretVault) {
    this.#vault = vault;
  }

  /** Copy `from` to `into`, with secrets replaced; returns how many bytes that is. */
  pass(from: Uint8Array, into: Uint8Array): number {
    let length = 0;
    for (let at = 0; at < from.length; at++) {
      const wasSecret = this.#isSecret;
      const wasInString = this.#lexer.isInString;
      const isExpected = this.#place === "before-value";
      this.#lexer.feed(from.subarray(at, at + 1));
      const { isInString } = this.#lexer;
      if (isInString && !wasInString) this.#isSecret = isExpected;
      if (wasSecret && isInString) continue;
      if (wasSecret) {
        const sealed = new TextEncoder().encode(this.#sealed());
        into.set(sealed, length);
        length += sealed.length;
      }
      into[length++] = from[at] ?? 0;
    }
    return length;
  }

  #token({ kind, text }: Token): void {
    if (this.#isSecret) {
      this.#text = kind === "string" ? contentsOf(text) : null;
      this.#place = "outside";
    } else if (kind === ":" && this.#place === "after-data") this.#place = "before-value";
    else this.#place = kind === "string" && contentsOf(text) === "data" ? "after-data" : "outside";
  }

  #sealed(): string {
    const text = this.#text;
    this.#isSecret = false;
    this.#text = null;
    return text === null ? "sealed-0" : this.#vault.put(text);
  }
}

/** What a string says; null when it is too long, or none. */
function contentsOf(text: string): string | null {
  if (text.length < 2 || text.length >= TEXT_BYTES_MAX) return null;
  try {
    const value = parseJson(Buffer.from(text, "latin1").toString());
    return typeof value === "string" ? value : null;
  } catch {
    return null;
  }
}
