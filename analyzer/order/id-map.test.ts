import { describe, expect, it } from "vitest";
import { Prng } from "#core/base";
import { IdMap } from "./id-map.ts";

describe("IdMap", () => {
  it("does what a Map does, through growth and deletion", () => {
    const prng = new Prng(7);
    const map = new IdMap<number>("numbers");
    const twin = new Map<number, number>();
    for (let i = 0; i < 20_000; i++) {
      const id = 1 + prng.below(300) * (prng.chance(1, 2) ? 1 : 64);
      if (prng.chance(1, 2)) {
        map.set(id, i);
        twin.set(id, i);
      } else {
        map.delete(id);
        twin.delete(id);
      }
      const asked = 1 + prng.below(300);
      expect(map.get(asked)).toBe(twin.get(asked));
      expect(map.size).toBe(twin.size);
    }
    const values: number[] = [];
    map.forEach((value) => {
      values.push(value);
    });
    expect(values.sort((a, b) => a - b)).toEqual([...twin.values()].sort((a, b) => a - b));
  });

  it("forgets what was deleted, so that ids may count up for ever", () => {
    const map = new IdMap<number>("numbers");
    for (let id = 1; id < 100_000; id++) {
      map.set(id, id);
      map.delete(id - 16);
    }
    expect(map.size).toBe(16);
  });

  it("does what a Map does for ids that were chosen to meet, and for 0 and negative ones", () => {
    const prng = new Prng(9);
    const map = new IdMap<number>("numbers");
    const twin = new Map<number, number>();
    for (let i = 0; i < 20_000; i++) {
      const id = (prng.below(1000) - 100) << (prng.chance(2, 3) ? 16 : 0);
      if (prng.chance(3, 5)) {
        map.set(id, i);
        twin.set(id, i);
      } else {
        map.delete(id);
        twin.delete(id);
      }
      const asked = (prng.below(1000) - 100) << 16;
      expect(map.get(asked)).toBe(twin.get(asked));
      expect(map.get(0)).toBe(twin.get(0));
      expect(map.size).toBe(twin.size);
    }
    const values: number[] = [];
    map.forEach((value) => {
      values.push(value);
    });
    expect(values.sort((a, b) => a - b)).toEqual([...twin.values()].sort((a, b) => a - b));
  });

  it("refuses more than it may hold, by name", () => {
    const map = new IdMap<number>("birds at a time", 1000);
    for (let id = 1; id <= 1000; id++) map.set(id << 12, id);
    map.set(1 << 12, 7);
    expect(() => map.set(5, 5)).toThrow(/^The trace has more than 1,000 birds at a time; /);
    map.delete(3 << 12);
    map.set(5, 5);
    expect(map.get(5)).toBe(5);
  });
});
