import { describe, expect, it } from "vitest";
import { Prng } from "#core/base";
import { IdMap } from "./id-map.ts";

describe("IdMap", () => {
  it("does what a Map does, through growth and deletion", () => {
    const prng = new Prng(7);
    const map = new IdMap<number>();
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
    const map = new IdMap<number>();
    for (let id = 1; id < 100_000; id++) {
      map.set(id, id);
      map.delete(id - 16);
    }
    expect(map.size).toBe(16);
  });
});
