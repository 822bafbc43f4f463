// A bitmap that is quick to search (C: HBitmap): above the bits stand levels, each with a bit for every word of the level below
// that is not zero, up to a level of one word.
//
//     level 1                       1 0 0 1        ... one bit a word
//                                  /       \
//     level 0    00100100 ... | 0 | 0 | 10000000   ... one bit a chunk of `granularity` bytes
//
// So finding the next bit that is set costs a step up and down for each level, however many zeroes are between; a range is set or
// reset word by word. Offsets and lengths are bytes of the disk, and become chunks in here only.

import { assert } from "../base/index.ts";

/** Chunks that a bitmap has at most: 512 MiB of bits, as many as QEMU stores in an image (BME_MAX_PHYS_SIZE). */
export const HBITMAP_CHUNKS_MAX = 2 ** 32;

const WORD_BITS = 32;

/** A run of dirty bytes. */
export interface DirtyArea {
  readonly start: number;
  readonly bytes: number;
}

export class HBitmap {
  readonly granularity: number;
  /** Bytes of the disk. */
  #size: number;
  #chunks: number;
  #count = 0;
  /** Empty until something is dirty for the first time: a clean bitmap needs no memory. */
  #levels: Uint32Array<ArrayBuffer>[] = [];

  constructor(size: number, granularity: number) {
    assert(Number.isSafeInteger(size) && size >= 0, "a disk has a length");
    assert(Number.isSafeInteger(Math.log2(granularity)), "a granularity is a power of two");
    this.granularity = granularity;
    this.#size = size;
    this.#chunks = Math.ceil(size / granularity);
    assert(this.#chunks <= HBITMAP_CHUNKS_MAX, "a bitmap has a limit");
  }

  get size(): number {
    return this.#size;
  }

  /** hbitmap_count: bytes of dirty chunks; the last chunk counts as a whole one. */
  get dirtyBytes(): number {
    return this.#count * this.granularity;
  }

  get(offset: number): boolean {
    assert(offset >= 0 && offset < this.#size, "the disk has the byte");
    const chunk = Math.floor(offset / this.granularity);
    return (this.#wordAt(0, Math.floor(chunk / WORD_BITS)) & bitOf(chunk)) !== 0;
  }

  /** hbitmap_set: every chunk that the range touches. */
  set(offset: number, bytes: number): void {
    this.#changeRange(offset, bytes, true);
  }

  /** hbitmap_reset: the chunks of a range of whole ones, as a chunk that is partly clean is dirty. */
  reset(offset: number, bytes: number): void {
    assert(offset % this.granularity === 0, "a range to reset begins at a chunk");
    const isWhole = bytes % this.granularity === 0 || offset + bytes === this.#size;
    assert(isWhole, "a range to reset is of whole chunks");
    this.#changeRange(offset, bytes, false);
  }

  resetAll(): void {
    this.#levels = [];
    this.#count = 0;
  }

  /** hbitmap_next_dirty: the first dirty byte from `offset` on and before `end`, or -1. */
  nextDirty(offset: number, end = this.#size): number {
    assert(offset >= 0, "a search begins inside the disk");
    const stop = Math.min(end, this.#size);
    if (offset >= stop) return -1;
    const chunk = this.#findSet(0, Math.floor(offset / this.granularity));
    const found = Math.max(offset, chunk * this.granularity);
    return chunk < 0 || found >= stop ? -1 : found;
  }

  /** hbitmap_next_zero: the first clean byte from `offset` on and before `end`, or -1. */
  nextZero(offset: number, end = this.#size): number {
    assert(offset >= 0, "a search begins inside the disk");
    const stop = Math.min(end, this.#size);
    if (offset >= stop) return -1;
    const chunk = this.#findClear(Math.floor(offset / this.granularity));
    const found = Math.max(offset, chunk * this.granularity);
    return chunk < 0 || found >= stop ? -1 : found;
  }

  /** hbitmap_next_dirty_area: the first run of dirty bytes in the range, of `most` bytes at most, or null. */
  nextDirtyArea(start: number, end: number, most = Number.MAX_SAFE_INTEGER): DirtyArea | null {
    assert(most > 0, "an area has bytes");
    const stop = Math.min(end, this.#size);
    const dirty = this.nextDirty(start, stop);
    if (dirty < 0) return null;
    const limit = Math.min(stop, dirty + Math.min(most, this.#size));
    const clean = this.nextZero(dirty, limit);
    return { start: dirty, bytes: (clean < 0 ? limit : clean) - dirty };
  }

  /** hbitmap_merge: what is dirty in `source`, a bitmap of a disk of the same length, is dirty here as well. */
  merge(source: HBitmap): void {
    assert(source.size === this.#size, "bitmaps that are merged have one size");
    for (let at = 0; ; ) {
      const area = source.nextDirtyArea(at, this.#size);
      if (area === null) return;
      this.set(area.start, area.bytes);
      at = area.start + area.bytes;
    }
  }

  /** A bitmap that says the same. */
  copy(): HBitmap {
    const copy = new HBitmap(this.#size, this.granularity);
    copy.merge(this);
    return copy;
  }

  /** hbitmap_truncate: the disk is `size` bytes long now; what is new is clean. */
  truncate(size: number): void {
    const old = this.#levels[0] ?? new Uint32Array();
    const kept = Math.min(this.#chunks, Math.ceil(size / this.granularity));
    this.#size = size;
    this.#chunks = Math.ceil(size / this.granularity);
    assert(this.#chunks <= HBITMAP_CHUNKS_MAX, "a bitmap has a limit");
    this.#levels = [];
    this.#count = 0;
    const words = Math.ceil(kept / WORD_BITS);
    for (let word = 0; word < Math.min(words, old.length); word++) {
      const isLast = word === words - 1;
      this.#setWord(word, (old[word] ?? 0) & (isLast ? bitsUpTo(kept - 1) : -1));
    }
  }

  /** Bytes of the bits, as they are stored: whole words of 64 bits (C: hbitmap_serialization_size). */
  get serializedBytes(): number {
    return Math.ceil(this.#chunks / 64) * 8;
  }

  /** hbitmap_serialize_part: `bytes` bytes of the bits, from byte `from` on, the lowest bit of each for the first of its chunks. */
  serialize(from: number, bytes: number): Uint8Array<ArrayBuffer> {
    assert(from % 4 === 0, "a part begins at a word");
    const part = new DataView(new ArrayBuffer(bytes));
    const full = bytes - (bytes % 4);
    for (let at = 0; at < full; at += 4)
      part.setUint32(at, this.#wordAt(0, (from + at) / 4) >>> 0, true);
    return new Uint8Array(part.buffer);
  }

  /** hbitmap_deserialize_part: the bits from byte `from` on are as in `part`. Bits behind the end are left out. */
  deserialize(from: number, part: Uint8Array): void {
    assert(from % 4 === 0, "a part begins at a word");
    const view = new DataView(part.buffer, part.byteOffset, part.byteLength);
    const words = Math.ceil(this.#chunks / WORD_BITS);
    for (let at = 0; at + 4 <= part.length && (from + at) / 4 < words; at += 4) {
      const word = (from + at) / 4;
      const isLast = word === words - 1;
      this.#setWord(word, view.getUint32(at, true) & (isLast ? bitsUpTo(this.#chunks - 1) : -1));
    }
  }

  #changeRange(offset: number, bytes: number, on: boolean): void {
    assert(offset >= 0, "a range begins inside the disk");
    assert(bytes >= 0 && offset + bytes <= this.#size, "a range lies inside the disk");
    if (bytes === 0) return;
    const first = Math.floor(offset / this.granularity);
    const last = Math.floor((offset + bytes - 1) / this.granularity);
    const lastWord = Math.floor(last / WORD_BITS);
    for (let word = Math.floor(first / WORD_BITS); word <= lastWord; word++) {
      let mask = -1;
      if (word * WORD_BITS < first) mask &= bitsFrom(first);
      if (word === lastWord) mask &= bitsUpTo(last);
      const old = this.#wordAt(0, word);
      this.#setWord(word, on ? old | mask : old & ~mask);
    }
  }

  /** Word `word` of the bits becomes `bits`: the count and the levels above follow. */
  #setWord(word: number, bits: number): void {
    const old = this.#wordAt(0, word);
    if (((old ^ bits) | 0) === 0) return;
    this.#count += ones(bits) - ones(old);
    this.#store(0, word, bits);
    for (let level = 1, at = word; level < this.#levels.length; level++) {
      const isSet = this.#wordAt(level - 1, at) !== 0;
      const above = Math.floor(at / WORD_BITS);
      const was = this.#wordAt(level, above);
      const is = isSet ? was | bitOf(at) : was & ~bitOf(at);
      if (((was ^ is) | 0) === 0) return;
      this.#store(level, above, is);
      at = above;
    }
  }

  /** The first bit of `level` that is set, from `bit` on; -1 for none. */
  #findSet(level: number, bit: number): number {
    const word = Math.floor(bit / WORD_BITS);
    const words = this.#levels[level];
    if (words === undefined || word >= words.length) return -1;
    const rest = this.#wordAt(level, word) & bitsFrom(bit);
    if (rest !== 0) return word * WORD_BITS + lowest(rest);
    const next = this.#findSet(level + 1, word + 1);
    return next < 0 ? -1 : next * WORD_BITS + lowest(this.#wordAt(level, next));
  }

  /** The first chunk that is clean, from `chunk` on; -1 for none. */
  #findClear(chunk: number): number {
    const words = Math.ceil(this.#chunks / WORD_BITS);
    for (let word = Math.floor(chunk / WORD_BITS), from = chunk; word < words; word++) {
      const clear = ~this.#wordAt(0, word) & bitsFrom(from);
      from = (word + 1) * WORD_BITS;
      if (clear === 0) continue;
      const found = word * WORD_BITS + lowest(clear);
      return found < this.#chunks ? found : -1;
    }
    return -1;
  }

  #wordAt(level: number, word: number): number {
    return this.#levels[level]?.[word] ?? 0;
  }

  #store(level: number, word: number, bits: number): void {
    if (this.#levels.length === 0) this.#levels = levelsFor(this.#chunks);
    const words = this.#levels[level];
    assert(words !== undefined && word < words.length, "the level has the word");
    words[word] = bits;
  }
}

function levelsFor(chunks: number): Uint32Array<ArrayBuffer>[] {
  const levels: Uint32Array<ArrayBuffer>[] = [];
  let bits = chunks;
  do {
    bits = Math.max(1, Math.ceil(bits / WORD_BITS));
    levels.push(new Uint32Array(bits));
  } while (bits > 1);
  return levels;
}

function bitOf(index: number): number {
  return 1 << (index % WORD_BITS);
}

/** The bits of a word that stand for `index` and what comes after it. */
function bitsFrom(index: number): number {
  return -1 << (index % WORD_BITS);
}

/** The bits of a word that stand for `index` and what comes before it. */
function bitsUpTo(index: number): number {
  return -1 >>> (WORD_BITS - 1 - (index % WORD_BITS));
}

/** Number of the lowest bit that is set. */
function lowest(bits: number): number {
  return WORD_BITS - 1 - Math.clz32(bits & -bits);
}

/** How many bits of a word are set. */
function ones(bits: number): number {
  let pairs = bits - ((bits >>> 1) & 0x5555_5555);
  pairs = (pairs & 0x3333_3333) + ((pairs >>> 2) & 0x3333_3333);
  return Math.imul((pairs + (pairs >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
}
