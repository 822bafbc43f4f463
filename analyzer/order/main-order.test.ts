// MainOrder against VectorOrder: whatever is released, acquired and begun, main knows the same accesses by both, and the same
// accesses of main are known to others.

import { describe, expect, it } from "vitest";
import { Prng } from "#core/base";
import { type FullOrder, KEEP, labelOf, MAIN, OffMain } from "./full.ts";
import { MainOrder } from "./main-order.ts";
import { SyncPoint } from "./sync-point.ts";
import { VectorOrder } from "./vector-order.ts";

const LABELS = [KEEP, labelOf("lock", 1), labelOf("bh"), labelOf("wait")];

/** An order, its points, and the accesses so far. */
class Followed {
  readonly order: FullOrder;
  readonly points: SyncPoint[];
  readonly accesses: { readonly who: number; readonly epoch: number }[] = [];

  constructor(order: FullOrder, points: number) {
    this.order = order;
    this.points = Array.from({ length: points }, () => new SyncPoint());
  }

  access(who: number): void {
    this.accesses.push({ who, epoch: this.order.epochNow(who) });
  }

  /** By access: whether main knows it, or, for one of main, who knows it. */
  known(components: number): string {
    const { order, accesses } = this;
    const others = Array.from({ length: components - 1 }, (_, i) => i + 1);
    return accesses
      .map(({ who, epoch }) =>
        who === MAIN
          ? others.map((other) => (order.known(other, MAIN) >= epoch ? other : "")).join("")
          : order.known(MAIN, who) >= epoch,
      )
      .join();
  }
}

interface RunOptions {
  readonly seed: number;
  readonly steps: number;
  readonly components: number;
  /** One in so many acquires is main's. */
  readonly mainLearns: number;
}

function compareOrders({ seed, steps, components, mainLearns }: RunOptions): void {
  const prng = new Prng(seed);
  const both = [new Followed(new MainOrder(), 5), new Followed(new VectorOrder(), 5)] as const;
  for (let step = 0; step < steps; step++) {
    const what = prng.below(20);
    const point = prng.below(5);
    const other = 1 + prng.below(components - 1);
    const who = prng.below(mainLearns) === 0 ? MAIN : other;
    const label = LABELS[prng.below(LABELS.length)] as number;
    const begins = both[0].order.isSettled(other);
    for (const followed of both) {
      const { order, points } = followed;
      const at = points[point] as SyncPoint;
      if (what < 7) order.acquire(at, who, label);
      else if (what < 12) order.release(at, who);
      else if (what < 13) order.releaseAlone(at, who);
      else if (what < 19) followed.access(who);
      else if (begins) order.begin(other, other);
    }
    if (step % 50 !== 0) continue;
    const [main, vectors] = both;
    expect(main.known(components), `seed ${seed}, step ${step}`).toBe(vectors.known(components));
  }
}

describe("what main knows, and who knows main, as by vector clocks", () => {
  it("when main learns often", () => {
    for (let seed = 1; seed <= 200; seed++)
      compareOrders({ seed, steps: 200, components: 2 + (seed % 5), mainLearns: 3 });
  });

  it("when the past of what main does not know is long, and written anew as a list", () => {
    for (let seed = 1; seed <= 6; seed++)
      compareOrders({ seed, steps: 4000, components: 6, mainLearns: 900 });
  });
});

it("what two others know of one another is not told", () => {
  const order = new MainOrder();
  expect(() => order.known(1, 2)).toThrow(OffMain);
  expect(() => order.labelFor(1, 2)).toThrow(OffMain);
  expect(order.known(1, 1)).toBe(1);
});

it("what an earlier unit did with a component is not told to the later one: only main knows it", () => {
  const order = new MainOrder();
  const point = new SyncPoint();
  order.begin(1, 1);
  const read = order.epochNow(1);
  expect(order.known(1, 1)).toBe(read);
  order.release(point, 1);
  order.acquire(point, MAIN, KEEP);
  expect(order.isSettled(1)).toBe(true);
  order.begin(1, 1);
  expect(() => order.known(1, 1)).toThrow(OffMain);
  expect(order.known(MAIN, 1)).toBeGreaterThanOrEqual(read);
});
