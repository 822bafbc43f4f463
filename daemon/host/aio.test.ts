import { describe, expect, it } from "vitest";
import { Prng } from "#core/base";
import { AioPolicy, INLINE_BYTES_MAX } from "./aio.ts";

/** What the next `count` operations of 4 KiB do: i(nline) or p(ool). Inline ones take `ms`. */
function run(policy: AioPolicy, count: number, ms: number): string {
  let text = "";
  for (let i = 0; i < count; i++) {
    const isInline = policy.isInline(4096);
    if (isInline) policy.took(ms, 4096);
    text += isInline ? "i" : "p";
  }
  return text;
}

describe("aio=auto", () => {
  it("serves from the calling thread while that is quick", () => {
    expect(run(new AioPolicy("auto"), 20, 0.002)).toBe("i".repeat(20));
  });

  it("goes to the pool after four slow ones, for twice as long after each try that is slow too", () => {
    const policy = new AioPolicy("auto");
    const slow = run(policy, 118, 5);
    expect(slow).toBe(`iiii${"p".repeat(16)}i${"p".repeat(32)}i${"p".repeat(64)}`);
    // The disk has become quick: the next try finds it out, and later slow ones cost little again.
    expect(run(policy, 10, 0.002)).toBe("i".repeat(10));
    expect(run(policy, 21, 5)).toBe(`iiii${"p".repeat(16)}i`);
  });

  it("goes there when one of four is slow: that is no accident", () => {
    const policy = new AioPolicy("auto");
    let text = "";
    for (let i = 0; i < 4; i++) text += run(policy, 1, 5) + run(policy, 3, 0.002);
    expect(text).toBe(`${"i".repeat(13)}ppp`);
  });

  it("stays where it is when a few are slow, even in a row: other processes had the processor", () => {
    const policy = new AioPolicy("auto");
    for (let i = 0; i < 10; i++)
      expect(run(policy, 3, 5) + run(policy, 13, 0.002)).toBe("i".repeat(16));
  });

  it("hardly notices that one of a hundred is slow, by chance", () => {
    const policy = new AioPolicy("auto");
    const prng = new Prng(1);
    let pooled = 0;
    for (let i = 0; i < 100_000; i++)
      if (run(policy, 1, prng.below(100) === 0 ? 5 : 0.002) === "p") pooled++;
    expect(pooled).toBeLessThan(100);
  });

  it("does not go to the pool for ever", () => {
    const policy = new AioPolicy("auto");
    const slow = run(policy, 20_000, 5);
    expect(Math.max(...slow.split("i").map((pooled) => pooled.length))).toBe(4096);
  });

  it("takes a long copy for a copy, and one that takes longer for a wait", () => {
    const policy = new AioPolicy("auto");
    for (let i = 0; i < 10; i++) policy.took(1, INLINE_BYTES_MAX);
    expect(policy.isInline(4096)).toBe(true);
    for (let i = 0; i < 4; i++) policy.took(5, INLINE_BYTES_MAX);
    expect(policy.isInline(4096)).toBe(false);
  });

  it("gives what takes long to copy to the pool", () => {
    const policy = new AioPolicy("auto");
    expect(policy.isInline(INLINE_BYTES_MAX)).toBe(true);
    expect(policy.isInline(INLINE_BYTES_MAX + 1)).toBe(false);
  });

  it("does as it is told otherwise", () => {
    expect(run(new AioPolicy("threads"), 3, 0)).toBe("ppp");
    expect(run(new AioPolicy("io_uring"), 3, 0)).toBe("ppp");
    expect(run(new AioPolicy("inline"), 3, 9)).toBe("iii");
  });
});
