// The ten litmus programs of the races reference (section 2.4), as far as events of a block graph can say them: an access is a
// read or an edit of one list, a lock is a lock, fork and join are contexts that start and stop. What the classic engines say
// is behind each name. Ours differs in one respect: a lock is an accident, no protocol of the block layer, so what a lock
// orders is "luck" here where a happens-before engine is silent. L03 and L04 need a reordered lock (predictive engines only);
// calling the order luck is how they are found.

import { describe, expect, it } from "vitest";
import { rulesOf, verdictOf } from "./test-support/verdict.ts";

const LITMUS: readonly {
  readonly name: string;
  readonly drawing: string;
  readonly verdict: string;
}[] = [
  {
    name: "L01 plain race",
    verdict: "race",
    drawing: `
      main                          | io1
                                    | r1: begin; read children n1 @reader
      remove children n1 e1 @editor |`,
  },
  {
    name: "L02 same lock",
    verdict: "luck: lock",
    drawing: `
      main                          | io1
                                    | lock l1; r1: begin; read children n1 @reader; unlock l1
      lock l1; remove children n1 e1 @editor; unlock l1 |`,
  },
  {
    name: "L03 an edit inside a section of the lock, a read after an empty one",
    verdict: "luck: lock",
    drawing: `
      main                          | io1
      lock l1; remove children n1 e1 @editor; unlock l1 |
                                    | lock l1; unlock l1; r1: begin; read children n1 @reader`,
  },
  {
    name: "L04 an edit before a section of the lock, a read after another",
    verdict: "luck: lock",
    drawing: `
      main                          | io1
      remove children n1 e1 @editor; lock l1; unlock l1 |
                                    | lock l1; unlock l1; r1: begin; read children n1 @reader`,
  },
  {
    name: "L05 a flag, then the data: a counter read without a level",
    verdict: "luck: counter",
    drawing: `
      main                          | io1
                                    | r1: begin; inc n1; read children n1 @reader; dec n1; end
      zero n1; remove children n1 e1 @editor |`,
  },
  {
    name: "L06 hand-off by start and join",
    verdict: "ordered",
    drawing: `
      main                          | io1
      insert children n1 e1 @before; start io1 |
                                    | run; read children n1 @reader; stop
      join io1; remove children n1 e1 @editor |`,
  },
  {
    name: "L07 two readers, one of them joined",
    verdict: "ordered, race",
    drawing: `
      main                          | io1                           | io2
                                    | read children n1 @reader; stop | r1: begin; read children n1 @reader
      join io1; remove children n1 e1 @editor |                     |`,
  },
  {
    name: "L08 hand-off through a lock, then an unlocked edit",
    verdict: "luck: lock",
    drawing: `
      main                          | io1
                                    | r1: begin; read children n1 @reader; lock l1; unlock l1
      lock l1; unlock l1; remove children n1 e1 @editor |`,
  },
];

describe("litmus", () => {
  it.each(LITMUS)("$name: $verdict", ({ drawing, verdict }) => {
    expect(verdictOf(drawing)).toBe(verdict);
  });

  it("L09 an iteration with a yield, the list edited in between, every access locked: seen by the iteration rule alone", () => {
    const drawing = `
      main
      lock l1; iter children n1 @loop; enter c1; op @f; drained s1 n1 @f
      remove children n1 e1 @editor; release s1 n1; op-end; yield c1; iter-end children n1 @loop; unlock l1`;
    expect(rulesOf(drawing)).toEqual(["edit-in-iteration"]);
  });

  it("L10 an iteration in one section", () => {
    const drawing = `
      main
      lock l1; iter children n1 @loop; iter-end children n1 @loop; unlock l1
      op @f; drained s1 n1 @f; remove children n1 e1 @editor; release s1 n1; op-end`;
    expect(rulesOf(drawing)).toEqual([]);
  });
});

describe("litmus with drains, coroutines and polls", () => {
  it("two requests of one iothread share a step by luck: the drain waits for one of them only", () => {
    expect(
      verdictOf(`
      main                          | io1
                                    | r1: begin; inc b1; read children n1 @reader
                                    | r2: begin; inc b2; dec b2; end
      drained s1 n1 b2 @drainer; remove children n1 e1 @editor; release s1 n1 b2 |
                                    | r1: dec b1; end`),
    ).toBe("luck: same thread");
  });

  it("check, then act: the counter is raised after the gate was read", () => {
    expect(
      verdictOf(`
      main                          | io1
                                    | r1: begin; gate b1
      drained s1 n1 b1 @drainer     |
                                    | r1: inc b1; read children n1 @reader
      remove children n1 e1 @editor; release s1 n1 b1 |`),
    ).toBe("race");
  });

  it("a queued request that does not look at the gate again enters the second section", () => {
    expect(
      verdictOf(`
      main                          | io1
                                    | r1: begin; inc b1; gate b1 shut; dec b1; queue b1 c1
      drained s1 n1 b1 @first; undrain s1; down b1 s1; wake b1 c1; down n1 s1; undrained s1 |
      drained s2 n1 b1 @second      |
                                    | r1: resumed b1 c1; inc b1; read children n1 @reader
      remove children n1 e1 @editor; release s2 n1 b1 |`),
    ).toBe("race");
  });

  it("what a nested poll runs is main's own doing", () => {
    expect(
      verdictOf(`
      main
      drained s1 n1 @drainer; bh h1; r1: begin; inc n1; read children n1 @reader; dec n1; end
      bh-done h1; remove children n1 e1 @editor; release s1 n1`),
    ).toBe("no pair");
  });
});
