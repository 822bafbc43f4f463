import { describe, expect, it } from "vitest";
import { ChunkList } from "./chunk-list.ts";

describe("the chunks of a trace that is being written", () => {
  it.each([0, 1, 4095, 4096, 4097, 10_000])("%i of them come back as they were", (count) => {
    const entries = Array.from({ length: count }, (_, i) => ({
      offset: 9 + i * 1300 + (i % 7),
      events: i % 5 === 0 ? 17 : 8192,
      restart: i % 8 === 0,
      strings: i % 100 === 0 ? 3 : 0,
    }));
    const list = new ChunkList();
    for (const entry of entries) list.push(entry);
    expect(list.length).toBe(count);
    expect([...list]).toEqual(entries);
    // A second time, too: a list is read without being used up.
    expect([...list].length).toBe(count);
  });

  it("takes hardly any memory for each", () => {
    const list = new ChunkList();
    const before = process.memoryUsage();
    for (let i = 0; i < 400_000; i++)
      list.push({
        offset: i * 1400 + ((i * 7919) % 100),
        events: 8192,
        restart: i % 8 === 0,
        strings: 0,
      });
    const after = process.memoryUsage();
    // 64 bytes for each were 25 MB.
    expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(8_000_000);
    expect([...list].at(-1)?.offset).toBe(399_999 * 1400 + ((399_999 * 7919) % 100));
  });
});
