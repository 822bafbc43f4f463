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

const STRUCTURE = /[{}[\]:,]/;
/** A 0 has no exponent without a fraction, unlike in JSON: QEMU takes it for the next word. */
const NUMBER = /^-?(0|[1-9][0-9]*)((\.[0-9]+)([eE][-+]?[0-9]+)?|(?<!^-?0)[eE][-+]?[0-9]+)?$/;
/** What a number may begin with while it is not whole. */
const NUMBER_SO_FAR =
  /^-?((0|[1-9][0-9]*)(\.|(\.[0-9]+)([eE][-+]?[0-9]*)?|(?<!^-?0)[eE][-+]?[0-9]*)?)?$/;

/** One lexer a connection. */
export class JsonLexer {
  #state: State = "start";
  #token = "";
  /** How the string that is read began. */
  #quote = "";
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
    for (const byte of bytes) {
      this.#character(String.fromCharCode(byte));
      if (this.#bytes <= TOKEN_BYTES_MAX) continue;
      this.#restart("start");
      this.#emit({ kind: "limit", text: "" });
    }
  }

  /** The stream has ended: a number or word that waited for its end has it; a string without its end is an error. */
  end(): void {
    if (this.#state === "number" || this.#state === "word") this.#finish();
    else if (this.isInString) this.#fail();
    this.#restart("start");
  }

  #restart(state: State): string {
    const text = this.#token;
    this.#state = state;
    this.#token = "";
    this.#bytes = 0;
    return text;
  }

  /** json_lexer_feed_char: some characters end a token and begin another. */
  #character(char: string): void {
    switch (this.#state) {
      case "start":
        this.#begin(char);
        return;
      case "string":
      case "escape":
        this.#inString(char);
        return;
      case "number":
        if (NUMBER_SO_FAR.test(this.#token + char)) this.#keep(char);
        else if (NUMBER.test(this.#token) && !/[0-9]/.test(char)) {
          this.#finish();
          this.#begin(char);
        } else this.#fail(char);
        return;
      case "word":
        if (char >= "a" && char <= "z") this.#keep(char);
        else {
          this.#finish();
          this.#begin(char);
        }
        return;
      case "recovery":
        if (isResumption(char)) {
          this.#state = "start";
          this.#begin(char);
        }
    }
  }

  #begin(char: string): void {
    if (char === " " || char === "\t" || char === "\r" || char === "\n") return;
    if (STRUCTURE.test(char)) {
      this.#emit({ kind: char as TokenKind, text: char });
      return;
    }
    this.#keep(char);
    // Looked up in the token itself, its text would be put together anew for each character.
    this.#quote = char;
    if (char === '"' || char === "'") this.#state = "string";
    else if (char === "-" || (char >= "0" && char <= "9")) this.#state = "number";
    else if (char >= "a" && char <= "z") this.#state = "word";
    else this.#fail();
  }

  #keep(char: string): void {
    this.#bytes++;
    if (this.#bytes <= this.#keptBytesMax) this.#token += char;
  }

  #inString(char: string): void {
    if (char < " " || char >= "\u00fe") {
      this.#fail(char);
      return;
    }
    this.#keep(char);
    if (this.#state === "escape") this.#state = "string";
    else if (char === "\\") this.#state = "escape";
    else if (char === this.#quote) this.#finish();
  }

  #finish(): void {
    const kind = this.#state;
    const text = this.#restart("start");
    if (kind === "number" && !NUMBER.test(text)) this.#emit({ kind: "error", text });
    else this.#emit({ kind: kind as TokenKind, text });
  }

  /** What was read, with `char`, is no token: skip to where a client can go on. */
  #fail(char = ""): void {
    this.#emit({ kind: "error", text: this.#restart("recovery") + char });
  }
}

/** Structure, control characters but tab, and the two bytes that no UTF-8 text has: clients send those to get a fresh start. */
function isResumption(char: string): boolean {
  return STRUCTURE.test(char) || (char !== "\t" && (char < " " || char >= "\u00fe"));
}
