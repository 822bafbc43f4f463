// The chunks of a trace that is being written, for its index: a recording of months has millions of them, and the index comes last.
//
// Full pages are kept compressed. Of a chunk hardly more than the bytes of its record differ from those of its neighbours, so it
// costs about two bytes; kept as an object it was 64, four megabytes an hour of a busy daemon.

import { assert } from "#core/base";
import { compress, decompress } from "./compression.ts";
import type { IndexEntry } from "./envelope.ts";

/** Chunks of a page: enough for the compression to see what repeats. */
const PAGE_CHUNKS = 4096;
const COLUMNS = 4;

/** Entries in their order. */
export class ChunkList implements Iterable<IndexEntry> {
  /** Columns of the page that is filled: bytes from the chunk before, events, restart, strings. */
  readonly #page = new Uint32Array(COLUMNS * PAGE_CHUNKS);
  readonly #full: Uint8Array[] = [];
  #onPage = 0;
  #lastOffset = 0;

  get length(): number {
    return this.#full.length * PAGE_CHUNKS + this.#onPage;
  }

  push({ offset, events, restart, strings }: IndexEntry): void {
    const bytes = offset - this.#lastOffset;
    assert(bytes >= 0, "chunks follow each other");
    assert(bytes < 2 ** 32, "a chunk has fewer bytes than a column can say");
    this.#lastOffset = offset;
    for (const [column, value] of [bytes, events, Number(restart), strings].entries())
      this.#page[column * PAGE_CHUNKS + this.#onPage] = value;
    if (++this.#onPage < PAGE_CHUNKS) return;
    this.#full.push(compress("deflate", new Uint8Array(this.#page.buffer)));
    this.#onPage = 0;
  }

  *[Symbol.iterator](): Generator<IndexEntry> {
    let offset = 0;
    const bytes = this.#page.byteLength;
    const pages = [...this.#full, null];
    for (const page of pages) {
      const columns =
        page === null
          ? this.#page
          : new Uint32Array(decompress("deflate", page, bytes).slice().buffer);
      const count = page === null ? this.#onPage : PAGE_CHUNKS;
      const at = (column: number, chunk: number) => columns[column * PAGE_CHUNKS + chunk] ?? 0;
      for (let chunk = 0; chunk < count; chunk++) {
        offset += at(0, chunk);
        yield { offset, events: at(1, chunk), restart: at(2, chunk) === 1, strings: at(3, chunk) };
      }
    }
  }
}
