import { describe, expect, it } from "vitest";
import { type CtxId, type LockId, Prng } from "#core/base";
import { AioContext } from "#core/sched";
import {
  Pct,
  RandomSwitch,
  RoundRobin,
  SCHEDULERS,
  type SchedulerName,
  schedulerNamed,
} from "./index.ts";

const contexts = [0, 1, 2].map((id) => new AioContext(id as CtxId, `ctx${id}`, 0 as LockId));
const [main, one, two] = contexts as [AioContext, AioContext, AioContext];

/** What a strategy picks in `steps` steps, when those that `runnable` gives for a step can run. */
function picks(
  scheduler: ReturnType<typeof schedulerNamed>,
  steps: number,
  runnable: (step: number) => AioContext[] = () => contexts,
): string {
  let last = main;
  const picked: number[] = [];
  for (let step = 0; step < steps; step++) {
    const now = runnable(step);
    const fallback = now.includes(last) ? last : (now[0] as AioContext);
    last = scheduler.pick(now, fallback, step);
    expect(now).toContain(last);
    picked.push(last.id);
  }
  return picked.join("");
}

describe("scheduling strategies", () => {
  it.each(Object.keys(SCHEDULERS) as SchedulerName[])(
    "%s picks the same for the same seed",
    (name) => {
      const some = (step: number) => contexts.filter((ctx) => (step + ctx.id) % 4 !== 0);
      expect(picks(schedulerNamed(name, 5), 300, some)).toBe(
        picks(schedulerNamed(name, 5), 300, some),
      );
    },
  );

  it.each(["random", "pct"] as const)("%s picks otherwise for another seed", (name) => {
    const all = [1, 2, 3, 4, 5, 6].map((seed) => picks(schedulerNamed(name, seed), 100));
    expect(new Set(all).size).toBeGreaterThan(1);
  });

  it("default stays where it is", () => {
    expect(picks(schedulerNamed("default", 1), 5)).toBe("00000");
    expect(
      picks(schedulerNamed("default", 1), 6, (step) => (step < 3 ? [one, two] : contexts)),
    ).toBe("111111");
  });

  it("round robin goes around, and leaves out who cannot run", () => {
    expect(picks(new RoundRobin(), 6)).toBe("012012");
    expect(picks(new RoundRobin(2), 8)).toBe("00112200");
    expect(picks(new RoundRobin(), 6, (step) => (step % 2 === 0 ? [main, two] : contexts))).toBe(
      "012020",
    );
  });

  it("random switching follows its probability", () => {
    const switches = (text: string) =>
      [...text].filter((ctx, i) => i > 0 && ctx !== text[i - 1]).length;
    expect(switches(picks(new RandomSwitch(new Prng(1), 1, 100), 2000))).toBeLessThan(60);
    expect(switches(picks(new RandomSwitch(new Prng(1), 1, 1), 2000))).toBeGreaterThan(1000);
  });

  it("PCT without change points keeps to the highest priority that can run", () => {
    const text = picks(new Pct(new Prng(2), 1), 50);
    expect(new Set(text).size).toBe(1);
    expect(new Set(picks(new Pct(new Prng(2), 3, 50), 50)).size).toBeGreaterThan(1);
  });
});
