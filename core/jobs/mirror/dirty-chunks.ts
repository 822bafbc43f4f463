// Which chunks of an image a mirror still has to copy (C: a BdrvDirtyBitmap and its iterator).

import { assert } from "../../base/index.ts";

/** A bit for each chunk of `granularity` bytes of an image of `length` bytes; all clean at first. */
export class DirtyChunks {
  readonly granularity: number;
  readonly #length: number;
  readonly #bits: Uint8Array;
  #dirty = 0;
  #cursor = 0;

  constructor(length: number, granularity: number) {
    assert(length >= 0, "a length is not negative");
    assert(granularity > 0, "a chunk holds something");
    this.granularity = granularity;
    this.#length = length;
    this.#bits = new Uint8Array(Math.ceil(length / granularity));
  }

  /** bdrv_get_dirty_count: the bytes of dirty chunks; the last chunk counts as if it were whole. */
  get dirtyBytes(): number {
    return this.#dirty * this.granularity;
  }

  /** bdrv_set_dirty_bitmap: every chunk that the range touches; what lies behind the end is no concern. */
  set(offset: number, bytes: number): void {
    assert(offset >= 0, "a range lies inside an image");
    const end = Math.min(offset + bytes, this.#length);
    for (let at = offset; at < end; at = this.#startOf(this.#chunkOf(at) + 1)) {
      const chunk = this.#chunkOf(at);
      if (this.#bits[chunk] === 1) continue;
      this.#bits[chunk] = 1;
      this.#dirty++;
    }
  }

  /**
   * bdrv_dirty_iter_next and bdrv_reset_dirty_bitmap: the next dirty chunk after the last one taken, and from the start again
   * behind the end; it is clean from now on. Null when all are clean.
   */
  take(): { readonly offset: number; readonly bytes: number } | null {
    if (this.#dirty === 0) return null;
    let chunk = this.#bits.indexOf(1, this.#cursor);
    if (chunk < 0) chunk = this.#bits.indexOf(1);
    assert(chunk >= 0, "dirty chunks are counted");
    this.#bits[chunk] = 0;
    this.#dirty--;
    this.#cursor = chunk + 1;
    const offset = this.#startOf(chunk);
    return { offset, bytes: Math.min(this.granularity, this.#length - offset) };
  }

  #chunkOf(offset: number): number {
    return Math.floor(offset / this.granularity);
  }

  #startOf(chunk: number): number {
    return chunk * this.granularity;
  }
}
