import { describe, expect, it } from "vitest";
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

  it("goes to the pool after two slow ones, for twice as long after each try that is slow too", () => {
    const policy = new AioPolicy("auto");
    const slow = run(policy, 116, 5);
    expect(slow).toBe(`ii${"p".repeat(16)}i${"p".repeat(32)}i${"p".repeat(64)}`);
    // The disk has become quick: the next try finds it out, and later slow ones cost little again.
    expect(run(policy, 10, 0.002)).toBe("i".repeat(10));
    expect(run(policy, 19, 5)).toBe(`ii${"p".repeat(16)}i`);
  });

  it("stays where it is when single ones are slow: another process had the processor", () => {
    const policy = new AioPolicy("auto");
    for (let i = 0; i < 10; i++) expect(run(policy, 1, 5) + run(policy, 3, 0.002)).toBe("iiii");
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
    for (let i = 0; i < 2; i++) policy.took(5, INLINE_BYTES_MAX);
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
