import { describe, expect, it } from "vitest";
import { SliceCache } from "./slice-cache.ts";

/** A cache with slices at 0, 512 and 1024. */
function filled(): SliceCache {
  const cache = new SliceCache(512, 4096);
  for (const offset of [0, 512, 1024]) cache.put(offset, new DataView(new ArrayBuffer(512)));
  return cache;
}

const offsets = (cache: SliceCache) => [...cache.slices.keys()].sort((a, b) => a - b);

describe("a cache of slices", () => {
  it("lets go of what was not used between two cleanings, and has not changed", () => {
    const cache = filled();
    const changed = cache.get(1024);
    if (changed !== undefined) cache.markDirty(changed);
    cache.cleanUnused();
    expect(offsets(cache)).toEqual([0, 512, 1024]);
    cache.get(512);
    cache.cleanUnused();
    expect(offsets(cache)).toEqual([512, 1024]);
    cache.cleanUnused();
    expect(offsets(cache)).toEqual([1024]);
  });

  it("lets the one go first that nobody has used for the longest time", () => {
    const cache = filled();
    cache.get(0);
    expect(cache.evictClean()).toBe(true);
    expect(offsets(cache)).toEqual([0, 1024]);
  });
});
