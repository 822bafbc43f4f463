// Entries of tables: a page is read when one of its entries is asked for the first time.

import { assert } from "../../base/index.ts";
import type { BlockDriverState } from "../../graph/state.ts";
import { blkdbgFileEvent } from "../../io/debug-event.ts";
import { site } from "../../probe/index.ts";
import { type Co, ioCode } from "../../sched/index.ts";
import { join64, OFFSET_HIGH_MASK, OFFSET_LOW_MASK } from "./format.ts";
import { readMetadata } from "./metadata-io.ts";
import { type Qcow2State, stateOf } from "./state.ts";
import {
  ENTRY_BYTES,
  type Entry64,
  PAGE_BYTES,
  PAGE_ENTRIES,
  type PagedTable,
  pageLength,
} from "./table.ts";

const SITE_GET = site("qcow2_table_get");
const SITE_SET = site("qcow2_table_set");

/** Entry `index`, or a negated errno. */
export function* tableGet(
  bs: BlockDriverState,
  table: PagedTable,
  index: number,
): Co<Entry64 | number> {
  ioCode(bs.aioContext, SITE_GET);
  const page = yield* pageOf(bs, table, index);
  return typeof page === "number" ? page : entryAt(page, index);
}

/** Entry `index`, if its page is here; else null. Common. */
export function knownTableEntry(table: PagedTable, index: number): Entry64 | null {
  assert(index >= 0 && index < table.entries, "the table has the entry");
  const page = table.pages.get(Math.floor(index / PAGE_ENTRIES));
  return page === undefined ? null : entryAt(page, index);
}

function entryAt(page: DataView, index: number): Entry64 {
  const at = (index % PAGE_ENTRIES) * ENTRY_BYTES;
  return { high: page.getUint32(at), low: page.getUint32(at + 4) };
}

/** Change entry `index` in memory; 0 or a negated errno. */
export function* tableSet(
  bs: BlockDriverState,
  table: PagedTable,
  index: number,
  entry: Entry64,
): Co<number> {
  ioCode(bs.aioContext, SITE_SET);
  const page = yield* pageOf(bs, table, index);
  if (typeof page === "number") return page;
  const at = (index % PAGE_ENTRIES) * ENTRY_BYTES;
  const state = stateOf(bs);
  clustersNamedBy(state, table)?.delete(clusterOf(state, page, at));
  page.setUint32(at, entry.high);
  page.setUint32(at + 4, entry.low);
  noteCluster(state, table, page, at);
  table.dirty.add(Math.floor(index / PAGE_ENTRIES));
  return 0;
}

function* pageOf(
  bs: BlockDriverState,
  table: PagedTable,
  index: number,
): Co<DataView<ArrayBuffer> | number> {
  assert(index >= 0 && index < table.entries, "the table has the entry");
  const number = Math.floor(index / PAGE_ENTRIES);
  const known = table.pages.get(number);
  if (known !== undefined) return known;
  const bytes = pageLength(table, number);
  if (table === stateOf(bs).refcountTable) yield* blkdbgFileEvent(bs, "reftable_load");
  const read = yield* readMetadata(bs, table.offset + number * PAGE_BYTES, bytes);
  if (typeof read === "number") return read;
  const page = new DataView(new ArrayBuffer(PAGE_BYTES));
  new Uint8Array(page.buffer).set(read);
  table.pages.set(number, page);
  const state = stateOf(bs);
  for (let at = 0; at < bytes; at += ENTRY_BYTES) noteCluster(state, table, page, at);
  return page;
}

/** Where what the entries of a table name is remembered (overlap.ts). */
function clustersNamedBy(state: Qcow2State, table: PagedTable): Set<number> | null {
  if (table === state.l1) return state.l2Clusters;
  return table === state.refcountTable ? state.refcountClusters : null;
}

function noteCluster(state: Qcow2State, table: PagedTable, page: DataView, at: number): void {
  const cluster = clusterOf(state, page, at);
  if (cluster > 0) clustersNamedBy(state, table)?.add(cluster);
}

function clusterOf({ clusterBytes }: Qcow2State, page: DataView, at: number): number {
  const high = page.getUint32(at) & OFFSET_HIGH_MASK;
  return Math.floor(join64(high, page.getUint32(at + 4) & OFFSET_LOW_MASK) / clusterBytes);
}
