// JSON values out of a stream of bytes: QMP has no frames, a value ends where its last bracket does.
//
// Limits are QEMU's (qobject/json-streamer.c), and so are the words of the errors. An error ends the value that it is in; the next
// one is read from where the lexer can go on.

import { JsonLexer, type Token } from "./json-lexer.ts";
import { JsonFloat, type JsonValue } from "./json-value.ts";

/** Bytes of one value's tokens, tokens of one value, and how deep they nest. */
const TOKEN_BYTES_MAX = 64 * 1024 * 1024;
const TOKENS_MAX = 2 * 1024 * 1024;
const NESTING_MAX = 1024;

/** A value, or why what was there is none. */
export type Parsed =
  | { readonly ok: true; readonly value: JsonValue }
  | { readonly ok: false; readonly error: string };

class JsonError extends Error {}

/** One stream a connection. */
export class JsonStream {
  readonly #lexer = new JsonLexer((token) => this.#token(token));
  #tokens: Token[] = [];
  #bytes = 0;
  /** Brackets that are open. */
  #depth = 0;
  #parsed: Parsed[] = [];

  /** The values that are whole after these bytes, in order. */
  feed(bytes: Uint8Array): readonly Parsed[] {
    this.#lexer.feed(bytes);
    if (this.#bytes + this.#lexer.pendingBytes > TOKEN_BYTES_MAX) {
      this.#lexer.end();
      this.#fail("JSON token size limit exceeded");
    }
    return this.#take();
  }

  /** The stream has ended: what is not whole never will be. */
  end(): readonly Parsed[] {
    this.#lexer.end();
    if (this.#tokens.length > 0) this.#parse();
    return this.#take();
  }

  #take(): readonly Parsed[] {
    const parsed = this.#parsed;
    this.#parsed = [];
    return parsed;
  }

  #token(token: Token): void {
    if (token.kind === "error") {
      this.#fail(`JSON parse error, stray '${token.text}'`);
      return;
    }
    if (token.kind === "{" || token.kind === "[") this.#depth++;
    if (token.kind === "}" || token.kind === "]") this.#depth--;
    this.#bytes += token.text.length;
    if (this.#bytes > TOKEN_BYTES_MAX) this.#fail("JSON token size limit exceeded");
    else if (this.#tokens.length >= TOKENS_MAX) this.#fail("JSON token count limit exceeded");
    else if (this.#depth > NESTING_MAX) this.#fail("JSON nesting depth limit exceeded");
    else {
      this.#tokens.push(token);
      if (this.#depth <= 0) this.#parse();
    }
  }

  #parse(): void {
    const tokens = this.#tokens;
    this.#reset();
    try {
      this.#parsed.push({ ok: true, value: new Parser(tokens).whole() });
    } catch (error) {
      if (!(error instanceof JsonError)) throw error;
      this.#parsed.push({ ok: false, error: `JSON parse error, ${error.message}` });
    }
  }

  #fail(error: string): void {
    this.#reset();
    this.#parsed.push({ ok: false, error });
  }

  #reset(): void {
    this.#tokens = [];
    this.#bytes = 0;
    this.#depth = 0;
  }
}

/** One value of text that is there as a whole; throws an Error with QEMU's words. */
export function parseJson(text: string): JsonValue {
  const stream = new JsonStream();
  const parsed = [...stream.feed(new TextEncoder().encode(text)), ...stream.end()];
  const [first, second] = parsed;
  if (first === undefined) throw new Error("JSON parse error, expecting value");
  if (!first.ok) throw new Error(first.error);
  if (second !== undefined) throw new Error("JSON parse error, expecting value");
  return first.value;
}

/** Recursive descent over the tokens of one value; nesting is bounded by NESTING_MAX. */
class Parser {
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  whole(): JsonValue {
    return this.#value(this.#next());
  }

  #next(): Token {
    const token = this.#tokens[this.#at++];
    if (token === undefined) throw new JsonError("premature EOI");
    return token;
  }

  #value(token: Token): JsonValue {
    switch (token.kind) {
      case "{":
        return this.#object();
      case "[":
        return this.#array();
      case "string":
        return stringOf(token.text);
      case "number":
        return numberOf(token.text);
      case "word":
        return wordOf(token.text);
      default:
        throw new JsonError("expecting value");
    }
  }

  #object(): ReadonlyMap<string, JsonValue> {
    const members = new Map<string, JsonValue>();
    let token = this.#next();
    if (token.kind === "}") return members;
    for (;;) {
      this.#member(members, token);
      token = this.#next();
      if (token.kind === "}") return members;
      if (token.kind !== ",") throw new JsonError("expected separator in dict");
      token = this.#next();
    }
  }

  #member(members: Map<string, JsonValue>, token: Token): void {
    if (token.kind !== "string") throw new JsonError("key is not a string in object");
    const key = stringOf(token.text);
    if (this.#next().kind !== ":") throw new JsonError("missing : in object pair");
    const value = this.#value(this.#next());
    if (members.has(key)) throw new JsonError("duplicate key");
    members.set(key, value);
  }

  #array(): readonly JsonValue[] {
    const elements: JsonValue[] = [];
    let token = this.#next();
    if (token.kind === "]") return elements;
    for (;;) {
      elements.push(this.#value(token));
      token = this.#next();
      if (token.kind === "]") return elements;
      if (token.kind !== ",") throw new JsonError("expected separator in list");
      token = this.#next();
    }
  }
}

function wordOf(text: string): JsonValue {
  if (text === "true") return true;
  if (text === "false") return false;
  if (text === "null") return null;
  throw new JsonError(`invalid keyword '${text}'`);
}

/** An integer of 64 bits, signed or unsigned, as a number where that is exact; anything else is a float. */
function numberOf(text: string): JsonValue {
  if (/[.eE]/.test(text)) return new JsonFloat(Number(text));
  const value = BigInt(text);
  if (value < -(2n ** 63n) || value >= 2n ** 64n) return new JsonFloat(Number(text));
  const small = Number(value);
  return Number.isSafeInteger(small) ? small : value;
}

const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  "'": "'",
  "\\": "\\",
  "/": "/",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
};

/** The text of a string token, whose characters are bytes. */
function stringOf(token: string): string {
  const bytes = Uint8Array.from(token.slice(1, -1), (char) => char.charCodeAt(0));
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new JsonError("invalid UTF-8 sequence in string");
  }
  if (!text.includes("\\")) return text;
  const unescaped = text.replace(/\\(u[0-9a-fA-F]{4}|.)/gs, (whole, code: string) => {
    if (code.length === 5) return String.fromCharCode(Number.parseInt(code.slice(1), 16));
    const char = ESCAPES[code];
    if (char !== undefined) return char;
    if (code === "u") throw new JsonError(`${whole} is not a valid Unicode character`);
    throw new JsonError("invalid escape sequence in string");
  });
  if (!isWellFormed(unescaped))
    throw new JsonError("a lone surrogate is not a valid Unicode character");
  if (unescaped.includes("\0")) throw new JsonError("\\u0000 is not a valid Unicode character");
  return unescaped;
}

/** No half of a surrogate pair stands alone. */
function isWellFormed(text: string): boolean {
  return !/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(text);
}
