import { describe, expect, it } from "vitest";
import { GuestBuffer } from "#core/sched";
import { fillPattern, matchesPattern, type PatternRange } from "./pattern.ts";

function range(data: Uint8Array | null, changes: Partial<PatternRange> = {}): PatternRange {
  return {
    buffer: new GuestBuffer(4096, data),
    start: 512,
    bytes: 1024,
    position: 8192,
    ...changes,
  };
}

describe("the pattern of guests", () => {
  it("is recognised where it was written, and not one byte beside it is touched", () => {
    const data = new Uint8Array(4096).fill(0xaa);
    fillPattern(range(data), 3);
    expect(matchesPattern(range(data), 3)).toBe(1);
    expect(data.subarray(0, 512).every((byte) => byte === 0xaa)).toBe(true);
    expect(data.subarray(1536).every((byte) => byte === 0xaa)).toBe(true);
  });

  it.each([
    ["another generation", { generation: 4 }, {}],
    ["another place of the image", { generation: 3 }, { position: 8704 }],
    ["memory that was never written", { generation: 0 }, {}],
  ])("is not mistaken for %s", (_what, { generation }, changes) => {
    const data = new Uint8Array(4096);
    fillPattern(range(data), 3);
    expect(matchesPattern(range(data, changes), generation)).toBe(0);
  });

  it("notices a single wrong byte", () => {
    const data = new Uint8Array(4096);
    fillPattern(range(data), 7);
    data[1535] = (data[1535] ?? 0) ^ 1;
    expect(matchesPattern(range(data), 7)).toBe(0);
  });

  it("is zero for generation 0", () => {
    expect(matchesPattern(range(new Uint8Array(4096)), 0)).toBe(1);
  });

  it("leaves poisoned memory alone, and does not compare it", () => {
    fillPattern(range(null), 3);
    expect(() => matchesPattern(range(null), 3)).toThrow(
      "guest memory that is compared has contents",
    );
  });
});
