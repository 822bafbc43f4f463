// The text form of a trace: one line an event, for people, `quiesce dump`, and tests that draw their traces.
//
//   ctx1 t12 list_read list=children owner=n3 site=bdrv_is_inserted
//   world - io_complete op=op9 rank=0 ret=-EIO steps=4
//
// Context (`world` between steps), task (`-` for none), kind, then the fields by name in the order of the catalogue. Ids
// carry a prefix that says what they count; `parseText` ignores it. Strings are quoted as in JSON, sites go by name.

import { assert, errnoName } from "#core/base";
import {
  ENUM_WORDS,
  type EventBatch,
  type FieldLayout,
  type FieldType,
  type KindLayout,
  LAYOUTS,
  type Site,
  WORLD_CTX,
} from "#core/probe";
import type { FileKind } from "./predictors.ts";

/** What an event's numbers refer to. */
export interface TraceTables {
  readonly strings: readonly string[];
  readonly sites: readonly Site[];
  /** The kinds as the file describes them: for kinds that are newer than this version. */
  readonly kinds?: readonly FileKind[];
}

/** Event `index` of `batch` as one line, without a line end. */
export function formatEvent(batch: EventBatch, index: number, tables: TraceTables): string {
  const ctx = batch.ctx(index);
  const task = batch.task(index);
  const words = [ctx === WORLD_CTX ? "world" : `ctx${ctx}`, task === 0 ? "-" : `t${task}`];
  const layout = layoutOf(batch.kind(index), tables);
  if (layout === undefined) return [...words, `kind${batch.kind(index)}`].join(" ");
  words.push(layout.name);
  for (const field of layout.fields) {
    const prefix = field.type === "id" ? idPrefix(batch, index, layout, field) : undefined;
    const value = batch.arg(index, field.slot);
    words.push(`${field.name}=${formatValue(field.type, value, tables, prefix)}`);
  }
  return words.join(" ");
}

/** Event `index` of `batch` as an object for JSON; `position` is its place in the run. */
export function eventToJson(
  batch: EventBatch,
  index: number,
  tables: TraceTables,
  position: number,
): Record<string, unknown> {
  const ctx = batch.ctx(index);
  const layout = layoutOf(batch.kind(index), tables);
  const json: Record<string, unknown> = {
    index: position,
    ctx: ctx === WORLD_CTX ? null : ctx,
    task: batch.task(index),
    event: layout?.name ?? `kind${batch.kind(index)}`,
  };
  for (const field of layout?.fields ?? []) {
    const value = batch.arg(index, field.slot);
    json[field.name] = jsonValue(field.type, value, tables);
  }
  return json;
}

function layoutOf(kind: number, tables: TraceTables): FileKind | KindLayout | undefined {
  return LAYOUTS[kind] ?? tables.kinds?.find(({ id }) => id === kind);
}

/** What stands before the number of an id. */
export const ID_PREFIXES: Readonly<Partial<Record<FieldType, string>>> = {
  node: "n",
  edge: "e",
  blk: "blk",
  job: "j",
  ctx: "ctx",
  co: "co",
  task: "t",
  section: "s",
  bh: "bh",
  timer: "tm",
  op: "op",
  lock: "l",
  tran: "tr",
  wait: "w",
  handle: "h",
};

function formatValue(
  type: FieldType,
  value: number,
  tables: TraceTables,
  idType: FieldType | undefined,
): string {
  if (type === "site")
    return value === 0 ? "-" : (tables.sites[value - 1]?.name ?? `site#${value}`);
  if (type === "string") {
    const text = tables.strings[value];
    return text === undefined ? `string#${value}` : JSON.stringify(text);
  }
  if (type === "ret" && value < 0) return `-${errnoName(-value)}`;
  if (type === "word") return (value >>> 0).toString(16).padStart(8, "0");
  const word = ENUM_WORDS[type]?.[value];
  if (word !== undefined) return word;
  const prefix = ID_PREFIXES[idType ?? type] ?? "";
  return value < 0 ? String(value) : `${prefix}${value}`;
}

function jsonValue(type: FieldType, value: number, tables: TraceTables): unknown {
  if (type === "site") return value === 0 ? null : (tables.sites[value - 1]?.name ?? value);
  if (type === "string") return tables.strings[value] ?? value;
  if (type === "bool") return value !== 0;
  return ENUM_WORDS[type]?.[value] ?? value;
}

/** What a field of type `id` counts: another field of the event says so. */
function idPrefix(
  batch: EventBatch,
  index: number,
  layout: FileKind | KindLayout,
  field: FieldLayout,
): FieldType | undefined {
  const words = new Set<string>();
  for (const { type, slot } of layout.fields) {
    // What is drained is a node, through a BlockBackend or not.
    if (type === "drain") continue;
    const word = ENUM_WORDS[type]?.[batch.arg(index, slot)];
    if (word !== undefined) words.add(word);
  }
  if (field.name === "value") return words.has("edge_bs") ? "node" : "edge";
  if (words.has("edge") || words.has("edge_bs")) return "edge";
  if (words.has("blk") || words.has("blk_root") || words.has("child_root")) return "blk";
  if (words.has("job") || words.has("child_job")) return "job";
  return "node";
}

/** All events of `batch`, one line each. */
export function formatBatch(batch: EventBatch, tables: TraceTables): string {
  const lines: string[] = [];
  for (let i = 0; i < batch.count; i++) lines.push(`${formatEvent(batch, i, tables)}\n`);
  assert(lines.length === batch.count, "every event is one line");
  return lines.join("");
}
