// The edges that only the full order has (reference, section 2.12): with the edge the pair is covered by luck, and the edge is
// named; without it, or with its kind switched off, it is a race.

import { describe, expect, it } from "vitest";
import { analyze } from "../analyze.ts";
import type { EdgeKind } from "../edge-kinds.ts";
import { traceFromText } from "../test-support/trace-from-text.ts";
import { verdictOf } from "../test-support/verdict.ts";

const TABLE: readonly {
  readonly kind: EdgeKind;
  readonly what: string;
  readonly drawing: string;
}[] = [
  {
    kind: "lock",
    what: "a lock is released and taken",
    drawing: `
      main                         | io1
                                   | lock l1; r1: begin; read children n1 @reader; unlock l1
      ~lock l1; remove children n1 e1 @editor; unlock l1 |`,
  },
  {
    kind: "lock",
    what: "the big lock is released and taken",
    drawing: `
      main                         | io1
                                   | lock l1 bql; r1: begin; read children n1 @reader; unlock l1 bql
      ~lock l1 bql; remove children n1 e1 @editor; unlock l1 bql |`,
  },
  {
    kind: "lock",
    what: "a mutex is released and taken: job_mutex, reqs_lock, dirty_bitmap_mutex",
    drawing: `
      main                         | io1
                                   | lock l1 mutex; r1: begin; read children n1 @reader; unlock l1 mutex
      ~lock l1 mutex; remove children n1 e1 @editor; unlock l1 mutex |`,
  },
  {
    kind: "lock",
    what: "a CoMutex is released and taken",
    drawing: `
      main                         | io1
                                   | mutex l1; r1: begin; read children n1 @reader; unmutex l1
      ~mutex l1; remove children n1 e1 @editor; unmutex l1 |`,
  },
  {
    kind: "lock",
    what: "a reader releases the graph lock and a writer takes it",
    drawing: `
      main                         | io1
                                   | rdlock; r1: begin; read children n1 @reader; rdunlock
      ~wrlock; remove children n1 e1 @editor; wrunlock |`,
  },
  {
    kind: "lock",
    what: "a writer releases the graph lock and a reader takes it",
    drawing: `
      main                         | io1
      wrlock; remove children n1 e1 @editor; wrunlock |
                                   | ~rdlock; r1: begin; read children n1 @reader; rdunlock`,
  },
  {
    kind: "bh",
    what: "a bottom half is scheduled and runs",
    drawing: `
      main                         | io1
      remove children n1 e1 @editor; ~schedule h1 |
                                   | bh h1; r1: begin; read children n1 @reader; end`,
  },
  {
    kind: "bh",
    what: "an event notifier is set and its handler runs",
    drawing: `
      main                         | io1
      remove children n1 e1 @editor; ~schedule h1 |
                                   | fd h1 internal; r1: begin; read children n1 @reader; end`,
  },
  {
    kind: "coroutine",
    what: "a coroutine yields in one context and is entered in another",
    drawing: `
      main                         | io1
                                   | r1: begin; read children n1 @reader; ~yield c1
      enter c1; remove children n1 e1 @editor |`,
  },
  {
    kind: "wake",
    what: "a coroutine is woken and entered",
    drawing: `
      main                         | io1
      remove children n1 e1 @editor; ~co-wake c1 |
                                   | enter c1; r1: begin; read children n1 @reader; end`,
  },
  {
    kind: "wake",
    what: "a coroutine is scheduled and entered",
    drawing: `
      main                         | io1
      remove children n1 e1 @editor; ~co-schedule c1 |
                                   | enter c1; r1: begin; read children n1 @reader; end`,
  },
  {
    kind: "coroutine",
    what: "a coroutine is made in one context and entered in another",
    drawing: `
      main                         | io1
      remove children n1 e1 @editor; ~co-create c1 |
                                   | enter c1; r1: begin; read children n1 @reader; end`,
  },
  {
    kind: "timer",
    what: "a timer is armed and fires",
    drawing: `
      main                         | io1
      remove children n1 e1 @editor; ~arm t1 |
                                   | fire t1; r1: begin; read children n1 @reader; end`,
  },
  {
    kind: "counter",
    what: "a counter is read as zero by who holds no level",
    drawing: `
      main                         | io1
                                   | r1: begin; inc n1; read children n1 @reader; dec n1; end
      ~zero n1; remove children n1 e1 @editor |`,
  },
  {
    kind: "wait",
    what: "a waiter is kicked",
    drawing: `
      main                         | io1
                                   | r1: begin; read children n1 @reader; ~kick
      wait-end; remove children n1 e1 @editor |`,
  },
];

describe.each(TABLE)("$kind: $what", ({ kind, drawing }) => {
  it("orders by luck, and is named", () => {
    expect(verdictOf(drawing)).toBe(`luck: ${kind}`);
  });

  it("and says what would take it away", () => {
    const { findings } = analyze(traceFromText(drawing));
    const [lucky] = findings.filter(({ rule }) => rule === "covered-by-luck");
    expect(lucky?.why).toMatch(/ The accident is gone when .*\w\.$/);
  });

  it("races without the edge", () => {
    expect(verdictOf(drawing, { marked: false })).toBe("race");
  });

  it("races when the analyzer leaves this kind of edge out", () => {
    expect(verdictOf(drawing, {}, { disableEdges: new Set([kind]) })).toBe("race");
  });

  it("is a race to the sanctioned order alone", () => {
    expect(verdictOf(drawing, {}, { orders: "sanctioned" })).toBe("race");
  });
});

describe("names of accidents", () => {
  it("a lock is named", () => {
    const drawing = `
      main                         | io1
      lock-new l1 drive0           |
                                   | lock l1; r1: begin; read children n1 @reader; unlock l1
      lock l1; remove children n1 e1 @editor; unlock l1 |`;
    const { findings } = analyze(traceFromText(drawing));
    const finding = findings.find(({ rule }) => rule === "covered-by-luck");
    expect(finding?.luckyEdge).toEqual({ kind: "lock", name: "drive0" });
    expect(finding?.why).toContain("the lock 'drive0'");
  });

  it("what comes through a sanctioned edge keeps the accident behind it", () => {
    // The lock orders r1's read before r2, whose counter main then waits for.
    const drawing = `
      main                         | io1 | io2
                                   | r1: begin; read children n1 @reader; lock l1; unlock l1 |
                                   |     | lock l1; unlock l1; r2: begin; inc n1; dec n1; end
      drained s1 n1 @drainer; remove children n1 e1 @editor; release s1 n1 | |`;
    expect(verdictOf(drawing)).toBe("luck: lock");
  });
});
