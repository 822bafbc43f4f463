// Tokens out of a stream of bytes that ends anywhere: the lexical half of what a QMP client sends.
//
// Follows RFC 8259 with QEMU's two extensions: strings in single quotes, and `\'` in strings. After an error the lexer skips
// to the next structural character or control character, from where a client can go on; the character that was wrong is gone. A
// token may be cut in two by the end of a piece; nothing of it is parsed before it is whole.

/** What a token is; `error` is a piece that belongs to none, and `limit` one that is too long. */
export type TokenKind =
  | ("{" | "}" | "[" | "]" | ":" | ",")
  | ("string" | "number" | "word" | "error" | "limit");

/** Bytes of one token (C: MAX_TOKEN_SIZE). */
export const TOKEN_BYTES_MAX = 64 * 1024 * 1024;

/** A token; `text` is how it was written (strings with their quotes), one character a byte. */
export interface Token {
  readonly kind: TokenKind;
  readonly text: string;
}

type State = "start" | "string" | "escape" | "number" | "word" | "recovery";

const STRUCTURE = "{}[]:,";
const [TAB, SPACE, QUOTE, BACKSLASH] = [0x09, 0x20, 0x22, 0x5c];
/** Not in any UTF-8 text, from here on. */
const NO_TEXT = 0xfe;
/** Longer memory is let go of when its token is whole. */
const KEPT_MEMORY_BYTES = 64 * 1024;

/**
 * Where a number may stand, and where each character leads; a `!` says that it could end there. A 0 has no exponent without a
 * fraction, unlike in JSON: QEMU takes it for the next word.
 */
const NUMBER_STEPS: Readonly<Record<string, readonly (readonly [chars: RegExp, to: string])[]>> = {
  "": [
    [/-/, "-"],
    [/0/, "zero!"],
    [/[1-9]/, "digits!"],
  ],
  "-": [
    [/0/, "zero!"],
    [/[1-9]/, "digits!"],
  ],
  "zero!": [[/\./, "point"]],
  "digits!": [
    [/[0-9]/, "digits!"],
    [/\./, "point"],
    [/[eE]/, "exponent"],
  ],
  point: [[/[0-9]/, "fraction!"]],
  "fraction!": [
    [/[0-9]/, "fraction!"],
    [/[eE]/, "exponent"],
  ],
  exponent: [
    [/[-+]/, "sign"],
    [/[0-9]/, "power!"],
  ],
  sign: [[/[0-9]/, "power!"]],
  "power!": [[/[0-9]/, "power!"]],
};

function numberStep(place: string, char: string): string | null {
  return NUMBER_STEPS[place]?.find(([chars]) => chars.test(char))?.[1] ?? null;
}

/** The bytes of one token. A string that grows by a character a time costs some thirty times as much memory. */
class TokenBytes {
  #memory = new Uint8Array(64);
  #length = 0;

  /** Keep `bytes` from `from` to `to`. */
  push(bytes: Uint8Array, from: number, to: number): void {
    const length = this.#length + to - from;
    if (length > this.#memory.length) {
      const grown = new Uint8Array(Math.max(length, 2 * this.#memory.length));
      grown.set(this.#memory.subarray(0, this.#length));
      this.#memory = grown;
    }
    this.#memory.set(bytes.subarray(from, to), this.#length);
    this.#length = length;
  }

  get length(): number {
    return this.#length;
  }

  /** The bytes as text, one character a byte; then there are none. */
  take(): string {
    const text = Buffer.from(this.#memory.buffer, 0, this.#length).toString("latin1");
    this.#length = 0;
    if (this.#memory.length > KEPT_MEMORY_BYTES) this.#memory = new Uint8Array(64);
    return text;
  }
}

/** One lexer a connection. */
export class JsonLexer {
  #state: State = "start";
  readonly #token = new TokenBytes();
  /** How the string that is read began, and where in a number it stands. */
  #quote = 0;
  #place = "";
  /** Bytes of the token that is read, of which `#token` may have kept fewer. */
  #bytes = 0;
  readonly #emit: (token: Token) => void;
  readonly #keptBytesMax: number;

  /** `emit` gets each token as soon as it is whole; of strings that are longer than `keptBytesMax`, the beginning. */
  constructor(emit: (token: Token) => void, keptBytesMax = TOKEN_BYTES_MAX) {
    this.#emit = emit;
    this.#keptBytesMax = keptBytesMax;
  }

  /** A string has begun and has not ended. */
  get isInString(): boolean {
    return this.#state === "string" || this.#state === "escape";
  }

  feed(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; ) {
      const from = at;
      at = this.#state === "string" ? this.#plainEnd(bytes, from) : from;
      if (at > from) this.#keep(bytes, from, at);
      else this.#byte(bytes, at++);
      if (this.#bytes <= TOKEN_BYTES_MAX) continue;
      this.#restart("start");
      this.#emit({ kind: "limit", text: "" });
    }
  }

  /** Where what a string just contains ends, or the string is too long. */
  #plainEnd(bytes: Uint8Array, from: number): number {
    const end = Math.min(bytes.length, from + TOKEN_BYTES_MAX + 1 - this.#bytes);
    let at = from;
    for (; at < end; at++) {
      const byte = bytes[at] ?? 0;
      if (byte < SPACE || byte >= NO_TEXT || byte === BACKSLASH || byte === this.#quote) break;
    }
    return at;
  }

  /** The stream has ended: a number or word that waited for its end has it; a string without its end is an error. */
  end(): void {
    if (this.#state === "number" || this.#state === "word") this.#finish();
    else if (this.isInString) this.#fail();
    this.#restart("start");
  }

  #restart(state: State): string {
    this.#state = state;
    this.#bytes = 0;
    return this.#token.take();
  }

  /** json_lexer_feed_char: some characters end a token and begin another. */
  #byte(bytes: Uint8Array, at: number): void {
    const byte = bytes[at] ?? 0;
    switch (this.#state) {
      case "start":
        this.#begin(bytes, at);
        return;
      case "string":
      case "escape":
        this.#inString(bytes, at);
        return;
      case "number":
        this.#inNumber(bytes, at);
        return;
      case "word":
        if (isSmallLetter(byte)) this.#keep(bytes, at);
        else {
          this.#finish();
          this.#begin(bytes, at);
        }
        return;
      case "recovery":
        if (isResumption(byte)) {
          this.#state = "start";
          this.#begin(bytes, at);
        }
    }
  }

  #begin(bytes: Uint8Array, at: number): void {
    const byte = bytes[at] ?? 0;
    const char = String.fromCharCode(byte);
    if (char === " " || char === "\t" || char === "\r" || char === "\n") return;
    if (STRUCTURE.includes(char)) {
      this.#emit({ kind: char as TokenKind, text: char });
      return;
    }
    this.#keep(bytes, at);
    this.#quote = byte;
    const place = numberStep("", char);
    this.#place = place ?? "";
    if (byte === QUOTE || char === "'") this.#state = "string";
    else if (place !== null) this.#state = "number";
    else if (isSmallLetter(byte)) this.#state = "word";
    else this.#fail();
  }

  #keep(bytes: Uint8Array, from: number, to = from + 1): void {
    this.#bytes += to - from;
    const room = this.#keptBytesMax - this.#token.length;
    if (room > 0) this.#token.push(bytes, from, Math.min(to, from + room));
  }

  #inNumber(bytes: Uint8Array, at: number): void {
    const char = String.fromCharCode(bytes[at] ?? 0);
    const place = numberStep(this.#place, char);
    if (place !== null) {
      this.#place = place;
      this.#keep(bytes, at);
    } else if (this.#isNumber && !/[0-9]/.test(char)) {
      this.#finish();
      this.#begin(bytes, at);
    } else this.#fail(char);
  }

  get #isNumber(): boolean {
    return this.#place.endsWith("!");
  }

  #inString(bytes: Uint8Array, at: number): void {
    const byte = bytes[at] ?? 0;
    if (byte < SPACE || byte >= NO_TEXT) {
      this.#fail(String.fromCharCode(byte));
      return;
    }
    this.#keep(bytes, at);
    if (this.#state === "escape") this.#state = "string";
    else if (byte === BACKSLASH) this.#state = "escape";
    else if (byte === this.#quote) this.#finish();
  }

  #finish(): void {
    const isWrong = this.#state === "number" && !this.#isNumber;
    const kind = isWrong ? "error" : (this.#state as TokenKind);
    this.#emit({ kind, text: this.#restart("start") });
  }

  /** What was read, with `char`, is no token: skip to where a client can go on. */
  #fail(char = ""): void {
    this.#emit({ kind: "error", text: this.#restart("recovery") + char });
  }
}

function isSmallLetter(byte: number): boolean {
  return byte >= 0x61 && byte <= 0x7a;
}

/** Structure, control characters but tab, and the two bytes that no UTF-8 text has: clients send those to get a fresh start. */
function isResumption(byte: number): boolean {
  if (STRUCTURE.includes(String.fromCharCode(byte))) return true;
  return byte !== TAB && (byte < SPACE || byte >= NO_TEXT);
}
