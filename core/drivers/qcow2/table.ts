// A table that is contiguous in the file (the L1 table, the refcount table), in memory page by page as it is needed: reading
// one entry of a large table reads no more than its page (table-io.ts). Changed pages are written by write-back.ts.

import { assert } from "../../base/index.ts";

/** Bytes of a page: what one read brings. */
export const PAGE_BYTES = 4096;
export const ENTRY_BYTES = 8;
export const PAGE_ENTRIES = PAGE_BYTES / ENTRY_BYTES;

/** An entry: 64 bits in two unsigned words. */
export interface Entry64 {
  readonly high: number;
  readonly low: number;
}

export class PagedTable {
  readonly offset: number;
  /** Entries of the table in the file. */
  readonly entries: number;
  readonly pages = new Map<number, DataView<ArrayBuffer>>();
  /** Pages that differ from the file. */
  readonly dirty = new Set<number>();

  constructor(offset: number, entries: number) {
    assert(offset >= 0, "a table is in the file");
    assert(entries >= 0, "a table has no negative length");
    this.offset = offset;
    this.entries = entries;
  }
}

/** Bytes of page `number` that belong to the table. Common. */
export function pageLength(table: PagedTable, number: number): number {
  return Math.min(PAGE_BYTES, table.entries * ENTRY_BYTES - number * PAGE_BYTES);
}

/** Pages of a table. Common. */
export function pageCount(table: PagedTable): number {
  return Math.ceil(table.entries / PAGE_ENTRIES);
}
