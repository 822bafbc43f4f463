import { describe, expect, it } from "vitest";
import { Buckets } from "./buckets.ts";

function filled(times: readonly number[]): Buckets {
  const buckets = new Buckets();
  for (const time of times) buckets.add(time, 1);
  return buckets;
}

describe("Buckets", () => {
  it("counts what happened up to a time, in whatever order it was added", () => {
    const buckets = filled([5, 1, 3, 3, 9]);
    expect([0, 1, 2, 3, 5, 8, 9].map((time) => buckets.upTo(time))).toEqual([0, 1, 1, 3, 4, 4, 5]);
  });

  it("makes room out of what is known, and keeps the newest apart", () => {
    const buckets = filled(Array.from({ length: 64 }, (_, i) => i));
    expect(buckets.isFull).toBe(true);
    buckets.compact(40);
    expect(buckets.isFull).toBe(false);
    expect([39, 40, 41, 62, 63].map((time) => buckets.upTo(time))).toEqual([0, 41, 42, 63, 64]);
  });

  it("makes room out of the oldest when nothing is known: what is known later is understated", () => {
    const buckets = filled(Array.from({ length: 64 }, (_, i) => i + 10));
    buckets.compact(0);
    expect(buckets.isFull).toBe(false);
    expect([10, 25, 26, 27, 73].map((time) => buckets.upTo(time))).toEqual([0, 0, 17, 18, 64]);
  });

  it("can let all happen at the latest time", () => {
    const buckets = filled([1, 2, 3]);
    buckets.collapse();
    expect([2, 3].map((time) => buckets.upTo(time))).toEqual([0, 3]);
  });
});
