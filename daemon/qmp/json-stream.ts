// JSON values out of a stream of bytes: QMP has no frames, a value ends where its last bracket does.
//
// Limits are QEMU's (qobject/json-streamer.c), and so are the words of the errors. An error ends the value that it is in; the next
// one is read from where the lexer can go on.

import { JsonLexer, TOKEN_BYTES_MAX, type Token } from "./json-lexer.ts";
import { JsonFloat, type JsonValue } from "./json-value.ts";
import { codepointAt, isCharacter, printedText } from "./mod-utf8.ts";

/** Tokens of one value, and how deep they nest; all of them together may be as long as one. */
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
  /** Brackets that are open, of either kind. */
  #braces = 0;
  #brackets = 0;
  #parsed: Parsed[] = [];

  /** The values that are whole after these bytes, in order. */
  feed(bytes: Uint8Array): readonly Parsed[] {
    this.#lexer.feed(bytes);
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
      this.#fail(`JSON parse error, stray '${printedText(token.text)}'`);
      return;
    }
    this.#braces += Number(token.kind === "{") - Number(token.kind === "}");
    this.#brackets += Number(token.kind === "[") - Number(token.kind === "]");
    this.#bytes += token.text.length;
    if (token.kind === "limit" || this.#bytes > TOKEN_BYTES_MAX)
      this.#fail("JSON token size limit exceeded");
    else if (this.#tokens.length >= TOKENS_MAX) this.#fail("JSON token count limit exceeded");
    else if (this.#braces + this.#brackets > NESTING_MAX)
      this.#fail("JSON nesting depth limit exceeded");
    else {
      this.#tokens.push(token);
      if (!this.#isOpen) this.#parse();
    }
  }

  /** Something is open, and nothing was closed that was not. */
  get #isOpen(): boolean {
    const [least, most] = [this.#braces, this.#brackets].sort((a, b) => a - b) as [number, number];
    return least >= 0 && most > 0;
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
    this.#braces = 0;
    this.#brackets = 0;
  }
}

/** One value of text that is there as a whole; throws an Error with QEMU's words. */
export function parseJson(text: string): JsonValue {
  const stream = new JsonStream();
  const parsed = [...stream.feed(new TextEncoder().encode(text)), ...stream.end()];
  const [first, second] = parsed;
  if (first === undefined) throw new Error("JSON parse error, expecting value");
  if (!first.ok) throw new Error(first.error);
  if (second !== undefined) throw new Error("Expecting at most one JSON value");
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
    const key = this.#value(token);
    if (typeof key !== "string") throw new JsonError("key is not a string in object");
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

/** As long as "-9223372036854775808" and "18446744073709551615". */
const INTEGER_CHARS_MAX = 20;

/** An integer of 64 bits, signed or unsigned, as a number where that is exact; anything else is a float. */
function numberOf(text: string): JsonValue {
  // Longer ones have more than 64 bits, and a number of a million digits takes its time.
  if (text.length > INTEGER_CHARS_MAX || /[.eE]/.test(text)) return new JsonFloat(Number(text));
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

/** parse_string: the text of a string token, whose characters are bytes. */
function stringOf(token: string): string {
  if (/^.[ -[\]-~]*$/.test(token)) return token.slice(1, -1);
  const bytes = Buffer.from(token, "latin1");
  // A character of UTF-16 comes from one byte at least. Put together piece by piece, text takes thirty times the memory.
  const units = new Uint16Array(token.length);
  const end = bytes.length - 1;
  let length = 0;
  for (let at = 1; at < end; ) {
    const escaped = token[at] === "\\" ? escapeAt(token, at) : null;
    const { codepoint, end: next } = escaped ?? codepointAt(bytes, at);
    if (codepoint === null) throw new JsonError("invalid UTF-8 sequence in string");
    if (codepoint > 0xffff) units[length++] = 0xd800 | ((codepoint - 0x10000) >> 10);
    units[length++] = codepoint > 0xffff ? 0xdc00 | (codepoint & 0x3ff) : codepoint;
    at = next;
  }
  return Buffer.from(units.buffer, 0, 2 * length).toString("utf16le");
}

/** The escape at `at` of a token. */
function escapeAt(token: string, at: number): { readonly codepoint: number; readonly end: number } {
  const letter = token[at + 1] ?? "";
  const char = ESCAPES[letter];
  if (char !== undefined) return { codepoint: char.charCodeAt(0), end: at + 2 };
  if (letter !== "u") throw new JsonError("invalid escape sequence in string");
  let codepoint = unitAt(token, at);
  let end = at + 6;
  // Half of a pair stands for nothing: it is no character, with or without what follows.
  if (codepoint >= 0xd800 && codepoint <= 0xdbff) {
    const second = unitAt(token, end);
    if (second >= 0xdc00 && second <= 0xdfff) {
      codepoint = 0x10000 + ((codepoint & 0x3ff) << 10) + (second & 0x3ff);
      end += 6;
    }
  }
  if (codepoint >= 0 && isCharacter(codepoint)) return { codepoint, end };
  throw new JsonError(`${printedText(token.slice(at, end))} is not a valid Unicode character`);
}

/** What `\uXXXX` at `at` says; -1 when it is not there. */
function unitAt(token: string, at: number): number {
  const match = /^\\u([0-9a-fA-F]{4})/.exec(token.slice(at, at + 6));
  return match === null ? -1 : Number.parseInt(match[1] ?? "", 16);
}
