// Tokens out of a stream of bytes that ends anywhere: the lexical half of what a QMP client sends.
//
// Follows RFC 8259 with QEMU's two extensions: strings in single quotes, and `\'` in strings. After an error the lexer skips
// to the next structural character or control character, from where a client can go on. A token may be cut in two by the end of
// a piece; nothing of it is parsed before it is whole.

/** What a token is; `error` is a piece that belongs to none. */
export type TokenKind = "{" | "}" | "[" | "]" | ":" | "," | "string" | "number" | "word" | "error";

/** A token; `text` is how it was written (strings with their quotes), one character a byte. */
export interface Token {
  readonly kind: TokenKind;
  readonly text: string;
}

type State = "start" | "string" | "escape" | "number" | "word" | "recovery";

const STRUCTURE = /[{}[\]:,]/;
const NUMBER = /^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$/;
/** What a number may begin with while it is not whole. */
const NUMBER_SO_FAR = /^-?(0|[1-9][0-9]*)?(\.[0-9]*)?([eE][-+]?[0-9]*)?$/;

/** One lexer a connection. */
export class JsonLexer {
  #state: State = "start";
  #token = "";
  readonly #emit: (token: Token) => void;

  /** `emit` gets each token as soon as it is whole. */
  constructor(emit: (token: Token) => void) {
    this.#emit = emit;
  }

  /** Bytes of the token that is not whole yet. */
  get pendingBytes(): number {
    return this.#token.length;
  }

  feed(bytes: Uint8Array): void {
    for (const byte of bytes) this.#character(String.fromCharCode(byte));
  }

  /** The stream has ended: a number or word that waited for its end has it; a string without its end is an error. */
  end(): void {
    if (this.#state === "number" || this.#state === "word") this.#finish();
    else if (this.#state === "string" || this.#state === "escape") this.#fail();
    this.#state = "start";
    this.#token = "";
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
        if (NUMBER_SO_FAR.test(this.#token + char)) this.#token += char;
        else if (NUMBER.test(this.#token) && !/[0-9]/.test(char)) {
          this.#finish();
          this.#begin(char);
        } else this.#fail(char);
        return;
      case "word":
        if (char >= "a" && char <= "z") this.#token += char;
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
    this.#token = char;
    if (char === '"' || char === "'") this.#state = "string";
    else if (char === "-" || (char >= "0" && char <= "9")) this.#state = "number";
    else if (char >= "a" && char <= "z") this.#state = "word";
    else {
      this.#token = "";
      this.#fail(char);
    }
  }

  #inString(char: string): void {
    if (char < " " || char >= "\u00fe") {
      this.#fail(char);
      return;
    }
    this.#token += char;
    if (this.#state === "escape") this.#state = "string";
    else if (char === "\\") this.#state = "escape";
    else if (char === this.#token[0]) this.#finish();
  }

  #finish(): void {
    const kind = this.#state === "string" ? "string" : this.#state;
    const text = this.#token;
    this.#state = "start";
    this.#token = "";
    if (kind === "number" && !NUMBER.test(text)) this.#emit({ kind: "error", text });
    else this.#emit({ kind: kind as TokenKind, text });
  }

  /** What was read, with `char`, is no token: skip to where a client can go on. */
  #fail(char = ""): void {
    const text = this.#token + char;
    this.#token = "";
    this.#state = isControl(char) ? "start" : "recovery";
    this.#emit({ kind: "error", text });
    if (char !== "" && isResumption(char) && !isControl(char)) {
      this.#state = "start";
      this.#begin(char);
    }
  }
}

/** Control characters but tab, and the two bytes that no UTF-8 text has: clients send them to get a fresh start. */
function isControl(char: string): boolean {
  return char !== "" && char !== "\t" && (char < " " || char >= "\u00fe");
}

function isResumption(char: string): boolean {
  return isControl(char) || STRUCTURE.test(char);
}
