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

  /** Waits of 30 us in which a turn takes as long as it says for the one that so many ns have gone by. */
  function looksWhile(isTaken: (now: number) => boolean, waits: number): boolean[] {
    let now = 0;
    let next: (() => void) | null = null;
    const poll = new IdlePoll(32_000, {
      nowNs: () => now,
      afterTurn: (goOn) => {
        next = goOn;
      },
    });
    return Array.from({ length: waits }, () => {
      const end = now + 30_000;
      poll.begin();
      const looks = next !== null;
      while (next !== null && now < end) {
        const goOn: () => void = next;
        next = null;
        now += isTaken(now) ? 4_000_000 : 1_000;
        goOn();
      }
      now = Math.max(now, end);
      poll.end();
      return looks;
    });
  }

  /** How many waits of them it looked in. */
  const among = (looked: readonly boolean[]): number => looked.filter((one) => one).length;

  it("not for a while, when others have the processor for much of the time", () => {
    const looked = looksWhile(() => true, 200_000);
    // Of six seconds, 25 times four milliseconds before each of the rests of 0.4, 0.8, 1.6 and 3.2 seconds.
    expect(among(looked)).toBe(4 * 25);
    expect(among(looked.slice(0, 50))).toBe(25);
  });

  it("again, when they do not want it any longer", () => {
    const looked = looksWhile((now) => now < 100_000_000, 20_000);
    expect(among(looked.slice(0, 12_000))).toBe(25);
    expect(looked.slice(14_000)).not.toContain(false);
  });

  it("also when a turn is long now and then", () => {
    const looked = looksWhile((now) => now % 100_000_000 < 1_000, 20_000);
    expect(among(looked)).toBeGreaterThan(19_900);
  });
});
