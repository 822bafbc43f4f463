import { describe, expect, it } from "vitest";
import { IdlePoll } from "./idle-poll.ts";

/** How often it is looked in waits of so many ns, one after the other, when a turn takes 1000. */
function looks(maxNs: number, waits: readonly number[]): number[] {
  let now = 0;
  let next: (() => void) | null = null;
  const poll = new IdlePoll(maxNs, {
    nowNs: () => now,
    afterTurn: (goOn) => {
      next = goOn;
    },
  });
  const turn = (): boolean => {
    const goOn = next;
    next = null;
    now += 1000;
    goOn?.();
    return goOn !== null;
  };
  return waits.map((waitNs) => {
    const end = now + waitNs;
    let count = 0;
    poll.begin();
    while (now < end && turn()) count++;
    now = end;
    poll.end();
    while (turn());
    return count;
  });
}

describe("an idle host looks for work", () => {
  it.each([
    ["never, when that is not allowed", 0, [10_000, 10_000, 10_000], [0, 0, 0]],
    [
      "twice as long after each wait that was longer",
      32_000,
      Array(6).fill(30_000),
      [0, 4, 8, 16, 30, 30],
    ],
    ["no longer than is allowed", 10_000, Array(5).fill(10_000), [0, 4, 8, 10, 10]],
    [
      "not after a wait that was longer than that",
      16_000,
      [9_000, 9_000, 90_000, 9_000, 9_000],
      [0, 4, 8, 0, 4],
    ],
  ] as const)("%s", (_what, maxNs, waits, expected) => {
    expect(looks(maxNs, waits)).toEqual(expected);
  });
});
