// The searchable bitmap beside a plain array of booleans.

import { describe, expect, it } from "vitest";
import { Prng } from "../base/index.ts";
import { HBitmap } from "./hbitmap.ts";

const GRANULARITY = 512;

/** The bits as text, `#` for dirty. */
function drawn(bitmap: HBitmap): string {
  let text = "";
  for (let at = 0; at < bitmap.size; at += bitmap.granularity) text += bitmap.get(at) ? "#" : ".";
  return text;
}

describe("a searchable bitmap", () => {
  it("sets every chunk that a range touches, and resets whole ones", () => {
    const bitmap = new HBitmap(16 * 512 - 100, GRANULARITY);
    bitmap.set(511, 2);
    bitmap.set(10 * 512, 5 * 512 + 1);
    expect(drawn(bitmap)).toBe("##........######");
    bitmap.reset(12 * 512, 4 * 512 - 100);
    expect(drawn(bitmap)).toBe("##........##....");
    expect(bitmap.dirtyBytes).toBe(4 * 512);
  });

  it("refuses to reset a part of a chunk", () => {
    const bitmap = new HBitmap(16 * 512, GRANULARITY);
    expect(() => bitmap.reset(0, 100)).toThrow("a range to reset is of whole chunks");
  });

  it("answers as a list of booleans does, whatever was done to it", () => {
    for (let seed = 1; seed <= 40; seed++) compareWithList(new Prng(seed));
  });

  it("keeps its bits when it gets shorter and longer", () => {
    const bitmap = new HBitmap(70 * 512, GRANULARITY);
    bitmap.set(0, 70 * 512);
    bitmap.truncate(33 * 512);
    bitmap.truncate(3000 * 512);
    expect(bitmap.dirtyBytes).toBe(33 * 512);
    expect(bitmap.nextDirty(33 * 512)).toBe(-1);
  });

  it("is stored and loaded in parts", () => {
    const bitmap = new HBitmap(1000 * 512, GRANULARITY);
    for (let chunk = 0; chunk < 1000; chunk += 7) bitmap.set(chunk * 512, 1);
    const copy = new HBitmap(1000 * 512, GRANULARITY);
    expect(bitmap.serializedBytes).toBe(128);
    for (let at = 0; at < 128; at += 32) copy.deserialize(at, bitmap.serialize(at, 32));
    expect(drawn(copy)).toBe(drawn(bitmap));
    expect(copy.dirtyBytes).toBe(bitmap.dirtyBytes);
  });

  it("finds the only bit of a large disk without looking at all of it", () => {
    const bitmap = new HBitmap(2 ** 44, 65_536);
    bitmap.set(2 ** 43 + 5, 1);
    // Its 2^28 chunks are 8 million words: so many searches word by word would take minutes, and the test's time would be over.
    let wrong = 0;
    for (let at = 0; at < 10_000; at++) if (bitmap.nextDirty(at) !== 2 ** 43) wrong++;
    expect(wrong).toBe(0);
  });
});

/** Random operations on a bitmap and on a list, and random questions to both. */
function compareWithList(prng: Prng): void {
  const granularity = 512 << prng.below(3);
  let size = 1 + prng.below(3000 * granularity);
  let bitmap = new HBitmap(size, granularity);
  let list = new Array<boolean>(Math.ceil(size / granularity)).fill(false);
  for (let i = 0; i < 60; i++) {
    const offset = prng.below(size);
    const bytes = 1 + prng.below(prng.chance(1, 2) ? size - offset : Math.min(5000, size - offset));
    const [first, last] = [offset, offset + bytes - 1].map((at) => Math.floor(at / granularity));
    const kind = prng.below(10);
    if (kind < 5) {
      bitmap.set(offset, bytes);
      list.fill(true, first, (last ?? 0) + 1);
    } else if (kind < 8) {
      const start = (first ?? 0) * granularity;
      bitmap.reset(start, Math.min(((last ?? 0) + 1) * granularity, size) - start);
      list.fill(false, first, (last ?? 0) + 1);
    } else if (kind === 8) {
      size = 1 + prng.below(3000 * granularity);
      bitmap.truncate(size);
      const chunks = Math.ceil(size / granularity);
      list = Array.from({ length: chunks }, (_, chunk) => list[chunk] ?? false);
    } else {
      const other = new HBitmap(size, granularity * 2);
      other.merge(bitmap);
      bitmap = prng.chance(1, 2) ? bitmap.copy() : other;
      if (bitmap === other) return;
    }
    expect(bitmap.dirtyBytes).toBe(list.filter((dirty) => dirty).length * granularity);
    const from = prng.below(size);
    const end = from + prng.below(size);
    for (const wanted of [true, false]) {
      const chunk = list.indexOf(wanted, Math.floor(from / granularity));
      const at = Math.max(from, chunk * granularity);
      const expected = chunk < 0 || at >= Math.min(end, size) ? -1 : at;
      expect(wanted ? bitmap.nextDirty(from, end) : bitmap.nextZero(from, end)).toBe(expected);
    }
  }
}
