import { describe, expect, it } from "vitest";
import { IdlePoll } from "./idle-poll.ts";

/** How often it is looked in waits of so many ns, one after the other, when a turn takes 1000. */
function looks(
  maxNs: number,
  waits: readonly number[],
  set: (poll: IdlePoll) => void = () => undefined,
): number[] {
  let now = 0;
  let next: (() => void) | null = null;
  const poll = new IdlePoll(maxNs, {
    nowNs: () => now,
    afterTurn: (goOn) => {
      next = goOn;
    },
  });
  set(poll);
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

  it("by other factors, when it is told", () => {
    const waits = [...Array(5).fill(60_000), 90_000, ...Array(3).fill(60_000)];
    const set = (poll: IdlePoll): void => poll.set(64_000, 4, 2);
    expect(looks(0, waits, set)).toEqual([0, 4, 16, 60, 60, 64, 32, 60, 60]);
  });

  it("not any more, when it is told", () => {
    expect(looks(32_000, [9_000, 9_000], (poll) => poll.set(0))).toEqual([0, 0]);
  });
});
