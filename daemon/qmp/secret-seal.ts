// What is typed as a secret over QMP is sealed before anything of it is revealed: the text of every string that is the value of a key
// `data`, which only secrets have, is replaced by a token. The texts stay in a vault that is empty in replay, where nobody asks.

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

const BACKSLASH = 0x5c;
const QUOTES: ReadonlySet<number> = new Set([0x22, 0x27]);
const BLANKS: ReadonlySet<number> = new Set([0x20, 0x09, 0x0a, 0x0d]);
const COLON = 0x3a;

/** Bytes that come out of so many, at most: `"data":""` gets a token of up to 23 bytes, and one may be due from before. */
export function sealedBytesMax(bytes: number): number {
  return 4 * bytes + 24;
}

/** Where the lexer stands, as far as it matters: between strings, after a key `data`, after its colon. */
type Place = "outside" | "after-data" | "before-value";

/** One connection's stream, wherever it is cut. */
export class SecretSeal {
  readonly #vault: SecretVault;
  #place: Place = "outside";
  /** The quote that ends the string that is read; 0 between strings. */
  #quote = 0;
  #isEscaped = false;
  #isSecret = false;
  /** Raw bytes of the string that is read, up to what is looked at. */
  #text: number[] = [];
  #isTooLong = false;

  constructor(vault: SecretVault) {
    this.#vault = vault;
  }

  /** Copy `from` to `into`, with secrets replaced; returns how many bytes that is. */
  pass(from: Uint8Array, into: Uint8Array): number {
    let length = 0;
    const emit = (bytes: Iterable<number>) => {
      for (const byte of bytes) into[length++] = byte;
    };
    for (const byte of from) {
      if (this.#quote === 0) {
        emit([byte]);
        this.#between(byte);
      } else if (this.#endsAt(byte)) {
        if (this.#isSecret) emit(new TextEncoder().encode(this.#sealed()));
        emit([byte]);
        this.#ended(byte);
      } else {
        if (!this.#isSecret) emit([byte]);
        this.#inside(byte);
      }
    }
    return length;
  }

  #between(byte: number): void {
    if (QUOTES.has(byte)) {
      this.#quote = byte;
      this.#isSecret = this.#place === "before-value";
      this.#text = [];
      this.#isTooLong = false;
      this.#place = "outside";
    } else if (byte === COLON && this.#place === "after-data") this.#place = "before-value";
    else if (!BLANKS.has(byte)) this.#place = "outside";
  }

  /** At its quote; or at a byte that no string has, where the lexer gives up and starts again. */
  #endsAt(byte: number): boolean {
    return (byte === this.#quote && !this.#isEscaped) || byte < 0x20 || byte > 0xfd;
  }

  #inside(byte: number): void {
    this.#isEscaped = byte === BACKSLASH && !this.#isEscaped;
    const most = this.#isSecret ? TEXT_BYTES_MAX : 64;
    if (this.#text.length < most) this.#text.push(byte);
    else this.#isTooLong = true;
  }

  #ended(byte: number): void {
    const isKey = !this.#isSecret && byte === this.#quote && this.#contents() === "data";
    this.#place = isKey ? "after-data" : "outside";
    this.#quote = 0;
    this.#isEscaped = false;
    this.#text = [];
  }

  #sealed(): string {
    const text = this.#contents();
    return text === null ? "sealed-0" : this.#vault.put(text);
  }

  /** What the string says; null when it is too long, or no string. */
  #contents(): string | null {
    if (this.#isTooLong) return null;
    const quote = String.fromCharCode(this.#quote);
    try {
      const value = parseJson(`${quote}${Buffer.from(this.#text).toString()}${quote}`);
      return typeof value === "string" ? value : null;
    } catch {
      return null;
    }
  }
}
