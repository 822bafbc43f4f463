// A cache of slices of tables (C: Qcow2Cache): pieces of L2 tables, or of refcount blocks, by their offset in the file.
//
// Least recently used goes first, and a clean slice before a changed one; when all have changed, write-back.ts writes them all,
// in the order that keeps the image whole whenever it is cut off. A slice that was got is valid until the next yield.

import { assert } from "../../base/index.ts";

/** A piece of a table. */
export interface Slice {
  readonly offset: number;
  readonly view: DataView<ArrayBuffer>;
  dirty: boolean;
  /** Since the last time that the cache was cleaned. */
  used: boolean;
}

/** Slices that a cache holds at least, however small it was asked to be. */
const SLICES_MIN = 4;

export class SliceCache {
  readonly sliceBytes: number;
  readonly capacity: number;
  /** By offset, the least recently used first. */
  readonly slices = new Map<number, Slice>();
  dirty = 0;

  constructor(sliceBytes: number, bytes = 0) {
    assert(sliceBytes > 0, "a slice holds something");
    this.sliceBytes = sliceBytes;
    this.capacity = Math.max(SLICES_MIN, Math.floor(bytes / sliceBytes));
  }

  /** The slice at `offset`, if it is here; it is the most recently used one now. */
  get(offset: number): Slice | undefined {
    const slice = this.slices.get(offset);
    if (slice === undefined) return undefined;
    this.slices.delete(offset);
    this.slices.set(offset, slice);
    slice.used = true;
    return slice;
  }

  /** Put a clean slice in; there must be room. */
  put(offset: number, view: DataView<ArrayBuffer>): Slice {
    assert(this.slices.size < this.capacity, "the cache has room");
    assert(view.byteLength === this.sliceBytes, "slices of a cache have one size");
    const slice: Slice = { offset, view, dirty: false, used: true };
    this.slices.set(offset, slice);
    return slice;
  }

  /** Let the least recently used clean slice go; false when there is none. */
  evictClean(): boolean {
    for (const slice of this.slices.values()) {
      if (slice.dirty) continue;
      this.slices.delete(slice.offset);
      return true;
    }
    return false;
  }

  /** qcow2_cache_clean_unused: let go of what nobody has asked for since the last time, and has not changed. */
  cleanUnused(): void {
    for (const slice of this.slices.values()) {
      if (!slice.used && !slice.dirty) this.slices.delete(slice.offset);
      slice.used = false;
    }
  }

  markDirty(slice: Slice): void {
    assert(this.slices.get(slice.offset) === slice, "a slice that changes is in the cache");
    if (slice.dirty) return;
    slice.dirty = true;
    this.dirty++;
  }

  markClean(slice: Slice): void {
    if (!slice.dirty) return;
    slice.dirty = false;
    this.dirty--;
  }

  /** Forget what is known of the range: its clusters are used for something else now. */
  forget(offset: number, bytes: number): void {
    for (let at = offset; at < offset + bytes; at += this.sliceBytes) {
      const slice = this.slices.get(at);
      if (slice === undefined) continue;
      this.markClean(slice);
      this.slices.delete(at);
    }
  }
}
