// The inverse of the text form, so that tests can draw traces.
//
// Lenient where a person writes: blank lines and what follows `#` are ignored, `-` for the task may be left out, fields may
// come in any order and be left out (0), an id's prefix does not matter. Strict in what could hide a slip: an unknown
// kind, field or word is refused with the number of its line.

import { errnoName, QuiesceError, type StringId } from "#core/base";
import {
  ENUM_WORDS,
  EventBatch,
  type FieldLayout,
  type FieldType,
  type KindLayout,
  LAYOUTS,
  type Site,
  WORLD_CTX,
} from "#core/probe";
import { contextMax } from "./limits.ts";
import type { TraceTables } from "./text.ts";

/** A trace that was written as text. */
export interface ParsedText {
  readonly batch: EventBatch;
  readonly strings: readonly string[];
  readonly sites: readonly Site[];
}

/** The events that `text` draws; strings and sites that `tables` lacks are added to the result's tables. */
export function parseText(text: string, tables: Partial<TraceTables> = {}): ParsedText {
  const lines = text.split("\n");
  const parser = new Parser(lines.length, tables);
  for (const [index, line] of lines.entries()) parser.line(line, index + 1);
  return { batch: parser.batch, strings: parser.strings, sites: parser.sites };
}

class Parser {
  readonly batch: EventBatch;
  readonly strings: string[];
  readonly sites: Site[];
  #line = 0;

  constructor(lines: number, tables: Partial<TraceTables>) {
    this.batch = new EventBatch(Math.max(1, lines));
    this.strings = [...(tables.strings ?? [""])];
    this.sites = [...(tables.sites ?? [])];
  }

  line(line: string, number: number): void {
    this.#line = number;
    const words = line.match(WORD) ?? [];
    const comment = words.findIndex((word) => word.startsWith("#"));
    if (comment >= 0) words.length = comment;
    const [who, ...rest] = words;
    if (who === undefined) return;
    const ctx = who === "world" ? WORLD_CTX : this.#id(who, "ctx");
    if (ctx > contextMax) this.#refuse(`no context has a number above ${contextMax}`);
    const hasTask = rest[0] === "-" || /^t\d+$/.test(rest[0] ?? "");
    const task = hasTask && rest[0] !== "-" ? this.#id(rest[0] ?? "", "t") : 0;
    const [name = "", ...fields] = hasTask ? rest.slice(1) : rest;
    const layout = BY_NAME.get(name);
    if (layout === undefined) this.#refuse(`"${name}" is not a kind of event`);
    this.#push(layout, ctx, task, fields);
  }

  #push(layout: KindLayout, ctx: number, task: number, fields: readonly string[]): void {
    const slots = [0, 0, 0, 0, 0];
    for (const text of fields) {
      const [name, value] = splitField(text);
      const field = layout.fields.find((candidate) => candidate.name === name);
      if (field === undefined) this.#refuse(`${layout.name} has no field "${name}"`);
      slots[field.slot] = this.#value(field, value);
    }
    const [a, b, c, d, x] = slots;
    this.batch.push(layout.id, ctx, task, a, b, c, d, x);
  }

  #value(field: FieldLayout, text: string): number {
    if (field.type === "string") return this.#string(text);
    if (field.type === "site") return this.#site(text);
    const word = ENUM_WORDS[field.type]?.indexOf(text) ?? -1;
    if (word >= 0) return word;
    if (field.type === "word" && /^[0-9a-f]{8}$/.test(text)) return Number.parseInt(text, 16) | 0;
    const errno = field.type === "ret" ? ERRNO_NUMBERS.get(text) : undefined;
    if (errno !== undefined) return -errno;
    return this.#number(text, field.type);
  }

  #number(text: string, type: FieldType): number {
    const match = /^(-?)[a-z]*(\d+)$/i.exec(text);
    const value = match === null ? Number.NaN : Number(`${match[1]}${match[2]}`);
    if (!Number.isSafeInteger(value)) this.#refuse(`"${text}" is not a ${type}`);
    return value;
  }

  #string(text: string): number {
    const number = /^string#(\d+)$/.exec(text);
    if (number !== null) return Number(number[1]);
    let value = text;
    if (text.startsWith('"')) {
      try {
        value = String(JSON.parse(text));
      } catch {
        this.#refuse(`${text} is not a string`);
      }
    }
    const known = this.strings.indexOf(value);
    if (known >= 0) return known as StringId;
    return this.strings.push(value) - 1;
  }

  #site(text: string): number {
    if (text === "-") return 0;
    const number = /^site#(-?\d+)$/.exec(text);
    if (number !== null) return Number(number[1]);
    const known = this.sites.findIndex((site) => site.name === text);
    if (known >= 0) return known + 1;
    return this.sites.push({ name: text, file: "drawn", line: this.#line });
  }

  #id(text: string, prefix: string): number {
    if (!new RegExp(`^${prefix}\\d+$`).test(text)) this.#refuse(`"${text}" is not a ${prefix}`);
    return Number(text.slice(prefix.length));
  }

  #refuse(what: string): never {
    throw new QuiesceError("input", `Line ${this.#line} of the trace's text: ${what}.`);
  }
}

/** Words are parted by blanks; a quoted string may hold some. */
const WORD = /(?:"(?:[^"\\]|\\.)*"|[^\s"])+/g;

const BY_NAME: ReadonlyMap<string, KindLayout> = new Map(
  LAYOUTS.flatMap((layout) => (layout === undefined ? [] : [[layout.name, layout]])),
);

/** "-EIO" to 5, for every errno that has a name or prints as its number. */
const ERRNO_NUMBERS: ReadonlyMap<string, number> = new Map(
  Array.from({ length: 4096 }, (_, errno) => [`-${errnoName(errno)}`, errno]),
);

function splitField(text: string): [string, string] {
  const at = text.indexOf("=");
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)];
}
