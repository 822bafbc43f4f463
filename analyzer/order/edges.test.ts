// Design D9's table, row by row: what `~` marks is the edge. With it the two accesses are ordered; without it, or with that
// kind of edge switched off in the analyzer, they race.

import { describe, expect, it } from "vitest";
import type { EdgeKind } from "../edge-kinds.ts";
import { verdictOf } from "../test-support/verdict.ts";

interface Row {
  readonly what: string;
  readonly kind: EdgeKind;
  readonly drawing: string;
  readonly verdict: string;
}

const TABLE: readonly Row[] = [
  {
    what: "a node's counter read as zero by the section that holds the node",
    kind: "node-counter",
    verdict: "covered by drainer",
    drawing: `
      main                         | io1
                                   | r1: begin; inc n1; read children n1 @reader; dec n1; end
      drain s1 n1 @drainer; up n1 s1; ~zero n1 s1; waited s1 |
      remove children n1 e1 @editor |
      release s1 n1                |`,
  },
  {
    what: "every decrement, not only the last: the one that comes after the read",
    kind: "node-counter",
    verdict: "covered by drainer",
    drawing: `
      main                         | io1
                                   | r1: begin; inc b1; inc n1; read children n1 @reader; dec n1
      drain s1 n1 @drainer; up n1 s1; ~zero n1 s1; waited s1 |
      remove children n1 e1 @editor |
                                   | r1: dec b1; end
      release s1 n1                |`,
  },
  {
    what: "every decrement, not only the last: the one that another request makes after it",
    kind: "node-counter",
    verdict: "covered by drainer",
    drawing: `
      main                         | io1 | io2
                                   | r1: begin; inc n1; read children n1 @reader | r2: begin; inc n1
                                   | r1: dec n1; end | r2: dec n1; end
      drain s1 n1 @drainer; up n1 s1; ~zero n1 s1; waited s1 | |
      remove children n1 e1 @editor | |
      release s1 n1                | |`,
  },
  {
    what: "a BlockBackend's counter",
    kind: "blk-counter",
    verdict: "covered by drainer",
    drawing: `
      main                         | io1
                                   | r1: begin; inc b1; read children n1 @reader; dec b1; end
      drain s1 n1 @drainer; up n1 s1; up b1 s1; ~zero b1 s1; waited s1 |
      remove children n1 e1 @editor |
      release s1 n1 b1             |`,
  },
  {
    what: "a gate that is read as zero while the BlockBackend's counter is held",
    kind: "gate",
    verdict: "covered by drainer",
    drawing: `
      main                         | io1
      drained s1 n1 b1 @drainer    |
      remove children n1 e1 @editor |
      undrain s1; down b1 s1; down n1 s1; undrained s1 |
                                   | r1: begin; inc b1; ~gate b1; read children n1 @reader; dec b1; end`,
  },
  {
    what: "a gate that is opened at every level, not only the last: the other one is somebody else's",
    kind: "gate",
    verdict: "covered by drainer",
    drawing: `
      main                         | io1 | io2
      drained s1 n1 b1 @drainer    |     | up b1 s2
      remove children n1 e1 @editor | |
      undrain s1; down b1 s1; down n1 s1; undrained s1 | | down b1 s2
                                   | r1: begin; inc b1; ~gate b1; read children n1 @reader; dec b1; end |`,
  },
  {
    what: "a gate that a request reads which never queues",
    kind: "gate",
    verdict: "covered by drainer",
    drawing: `
      main                         | io1
      drained s1 n1 b1 @drainer    |
      remove children n1 e1 @editor |
      undrain s1; down b1 s1; down n1 s1; undrained s1 |
                                   | r1: begin; inc b1; ~gate b1 unqueued; read children n1 @reader; dec b1; end`,
  },
  {
    what: "the wake of a queued request",
    kind: "queue-wake",
    verdict: "covered by drainer",
    drawing: `
      main                         | io1
                                   | r1: begin; inc b1; gate b1 shut; dec b1; queue b1 c1
      drained s1 n1 @drainer       |
      remove children n1 e1 @editor |
      undrain s1; ~wake b1 c1; down n1 s1; undrained s1 |
                                   | r1: ~resumed b1 c1; read children n1 @reader; end`,
  },
  {
    what: "external events enabled again, and the request that their handler begins",
    kind: "external",
    verdict: "covered by drainer",
    drawing: `
      main                         | io1
      drained s1 n1 @drainer       |
      remove children n1 e1 @editor |
      undrain s1; down n1 s1; ~enable io1; undrained s1 |
                                   | fd h1
                                   | r1: begin; inc n1; read children n1 @reader; dec n1; end`,
  },
  {
    what: "external events enabled again, and their handler itself",
    kind: "external",
    verdict: "covered by drainer",
    drawing: `
      main                         | io1
      drained s1 n1 @drainer       |
      remove children n1 e1 @editor |
      undrain s1; down n1 s1; enable io1; undrained s1 |
                                   | ~fd h1; read children n1 @reader`,
  },
  {
    what: "a job is resumed and reads its pause count as zero",
    kind: "job-resume",
    verdict: "covered by drainer",
    drawing: `
      main                         | io1
      drained s1 n1 j1 @drainer    |
      remove children n1 e1 @editor |
      undrain s1; down j1 s1; down n1 s1; undrained s1 |
                                   | r1: begin; ~job-gate j1; read children n1 @reader; end`,
  },
  {
    what: "a job goes idle, read by the section that paused it",
    kind: "job-idle",
    verdict: "covered by drainer",
    drawing: `
      main                         | io1
                                   | r1: begin; read children n1 @reader; idle j1; end
      drain s1 n1 @drainer; up n1 s1; up j1 s1; ~zero j1 s1; waited s1 |
      remove children n1 e1 @editor |
      release s1 n1 j1             |`,
  },
  {
    what: "what a drainer starts inside its section comes after what it did before",
    kind: "wrapper-begin",
    verdict: "ordered",
    drawing: `
      main                         | io1
      drained s1 n1 @drainer       |
      remove children n1 e1 @editor; ~wrap c1 |
                                   | r1: begin c1; inc n1; read children n1 @reader; dec n1; end c1
      wrapped c1; release s1 n1    |`,
  },
  {
    what: "what a drainer starts inside its section and waits for comes before what it does next",
    kind: "wrapper-end",
    verdict: "ordered",
    drawing: `
      main                         | io1
      drained s1 n1 @drainer; wrap c1 |
                                   | r1: begin c1; inc n1; read children n1 @reader; dec n1; end c1
      ~wrapped c1; remove children n1 e1 @editor; release s1 n1 |`,
  },
  {
    what: "the walk of a coroutine that a drainer starts, before it raises a counter",
    kind: "wrapper-begin",
    verdict: "ordered",
    drawing: `
      main                         | io1
      drained s1 n1 @drainer       |
      remove children n1 e1 @editor; ~wrap c1 |
                                   | enter c1; read children n1 @reader; terminate c1
      wrapped c1; release s1 n1    |`,
  },
  {
    what: "the walk of a coroutine that a drainer waits for",
    kind: "wrapper-end",
    verdict: "ordered",
    drawing: `
      main                         | io1
      drained s1 n1 @drainer; wrap c1 |
                                   | enter c1; read children n1 @reader; terminate c1
      ~wrapped c1; remove children n1 e1 @editor; release s1 n1 |`,
  },
  {
    what: "a context is started",
    kind: "context-start",
    verdict: "ordered",
    drawing: `
      main                         | io1
      remove children n1 e1 @editor; ~start io1 |
                                   | run; read children n1 @reader`,
  },
  {
    what: "a context has stopped and is joined",
    kind: "context-join",
    verdict: "ordered",
    drawing: `
      main                         | io1
                                   | run; read children n1 @reader; stop
      ~join io1; remove children n1 e1 @editor |`,
  },
];

describe.each(TABLE)("$kind: $what", ({ kind, drawing, verdict }) => {
  it("orders with the edge", () => {
    expect(verdictOf(drawing)).toBe(verdict);
  });

  it("races without it", () => {
    expect(verdictOf(drawing, { marked: false })).toBe("race");
  });

  it("races when the analyzer leaves this kind of edge out", () => {
    expect(verdictOf(drawing, {}, { disableEdges: new Set([kind]) })).toBe("race");
  });
});

describe("program order of tasks", () => {
  const drawing = `
      main                         | io1 | io2
                                   | r1: begin; inc n1; read children n1 @reader |
                                   |     | r1: dec n1; end
      drained s1 n1 @drainer; remove children n1 e1 @editor; release s1 n1 | |`;

  it("goes on when a task changes its context", () => {
    expect(verdictOf(drawing)).toBe("covered by drainer");
  });

  it("is what the verdict rests on", () => {
    expect(verdictOf(drawing, {}, { disableEdges: new Set(["task-order"]) })).toBe("race");
  });
});

/** What looks like an edge and is none: the statement with `~` is there, and the accesses race all the same. */
const NO_EDGE: readonly { readonly what: string; readonly drawing: string }[] = [
  {
    what: "waiting for a coroutine in a section that was begun only after it was started",
    drawing: `
      main                         | io1
      wrap c1                      |
                                   | r1: begin c1; inc n1; read children n1 @reader; dec n1; end c1
      drain s1 n2 @drainer; up n2 s1; waited s1; ~wrapped c1; remove children n1 e1 @editor |`,
  },
  {
    what: "raising a counter",
    drawing: `
      main                         | io1
      remove children n1 e1 @editor; inc n1 |
                                   | r1: begin; ~inc n1; read children n1 @reader; dec n1; end`,
  },
  {
    what: "a counter that is read as non-zero",
    drawing: `
      main                         | io1
                                   | r1: begin; inc n1; inc n1; read children n1 @reader; dec n1
      drain s1 n1 @drainer; up n1 s1; ~busy n1 s1; waited s1 |
      remove children n1 e1 @editor |`,
  },
  {
    what: "a node's quiesce counter, up or down",
    drawing: `
      main                         | io1
      drained s1 n1 @drainer; remove children n1 e1 @editor; undrain s1; ~down n1 s1; undrained s1 |
                                   | r1: begin; inc n1; read children n1 @reader; dec n1; end`,
  },
  {
    what: "drained_begin as such",
    drawing: `
      main                         | io1
                                   | r1: begin; inc n1; read children n1 @reader; dec n1; end
      ~drain s1 n1 @drainer; up n1 s1; remove children n1 e1 @editor |`,
  },
  {
    what: "a counter read as zero by a section that does not hold the node: check, then act",
    drawing: `
      main                         | io1
                                   | r1: begin; inc n1; read children n1 @reader; dec n1; end
      drain s1 n2 @drainer; up n2 s1; waited s1 |
      remove children n1 e1 @editor |`,
  },
  {
    what: "a gate read as non-zero",
    drawing: `
      main                         | io1
      drained s1 n1 b1 @drainer; remove children n1 e1 @editor; release s1 n1 b1 |
                                   | r1: begin; inc b1; ~gate b1 shut; read children n1 @reader; dec b1; end`,
  },
  {
    what: "an external handler dispatched while external events are disabled",
    drawing: `
      main                         | io1
      drained s1 n1 @drainer; remove children n1 e1 @editor; undrain s1; enable io1; undrained s1 |
                                   | ~fd h1 disabled; read children n1 @reader`,
  },
  {
    what: "external events disabled, and a handler that was dispatched before",
    drawing: `
      main                         | io1
                                   | fd h1; read children n1 @reader
      ~disable io1; drain s1 n1 @drainer; up n1 s1; waited s1; remove children n1 e1 @editor |`,
  },
  {
    what: "external events enabled again, and a handler that was dispatched before",
    drawing: `
      main                         | io1
      drained s1 n1 @drainer; remove children n1 e1 @editor; undrain s1; down n1 s1 |
                                   | fd h1 disabled
      ~enable io1; undrained s1    |
                                   | read children n1 @reader`,
  },
  {
    what: "the drain of another client that has waited, around one's own that has not",
    drawing: `
      main                         | io1 | io2
                                   | r1: begin; inc n1; read children n1 @reader; dec n1; end |
                                   |     | ~drained s1 n1 @other
      drain s2 n1 @drainer; up n1 s2; remove children n1 e1 @editor | |`,
  },
  {
    what: "a job's pause count read as non-zero",
    drawing: `
      main                         | io1
      drained s1 n1 j1 @drainer; remove children n1 e1 @editor; release s1 n1 j1 |
                                   | r1: begin; ~job-gate j1 paused; read children n1 @reader; end`,
  },
];

describe.each(NO_EDGE)("no edge: $what", ({ drawing }) => {
  it("races all the same", () => {
    expect(verdictOf(drawing)).toBe("race");
  });
});

describe("conditions of the table", () => {
  it("a counter read as zero without a level orders by luck only", () => {
    const drawing = `
      main                         | io1
                                   | r1: begin; inc n1; read children n1 @reader; dec n1; end
      ~up n1 s1; zero n1 s1; remove children n1 e1 @editor |`;
    expect(verdictOf(drawing)).toBe("ordered");
    expect(verdictOf(drawing, { marked: false })).toBe("luck: counter");
  });

  it("a level that moved to another section is the other's", () => {
    const drawing = `
      main                         | io1
                                   | r1: begin; inc n1; read children n1 @reader; dec n1; end
      up n1 s1; ~transfer n1 s1 s2; zero n1 s2; remove children n1 e1 @editor |`;
    expect(verdictOf(drawing)).toBe("ordered");
    expect(verdictOf(drawing, { marked: false })).toBe("luck: counter");
  });

  it("a gate read as zero without the counter orders by luck only", () => {
    const drawing = `
      main                         | io1
      drained s1 n1 b1 @drainer; remove children n1 e1 @editor; release s1 n1 b1 |
                                   | r1: begin; ~inc b1; gate b1; read children n1 @reader; end`;
    expect(verdictOf(drawing)).toBe("covered by drainer");
    expect(verdictOf(drawing, { marked: false })).toBe("luck: counter");
  });

  it("a coroutine that main starts outside of a section is not sanctioned", () => {
    const drawing = `
      main                         | io1
      remove children n1 e1 @editor; wrap c1 |
                                   | r1: begin c1; inc n1; read children n1 @reader; dec n1; end c1
      wrapped c1                   |`;
    expect(verdictOf(drawing)).toBe("race");
  });
});

describe("what belongs to no task", () => {
  it("is not ordered by the context that it runs in", () => {
    const drawing = `
      main                         | io1
                                   | read children n1 @reader
                                   | r1: begin; inc n1; dec n1; end
      drained s1 n1 @drainer; remove children n1 e1 @editor; release s1 n1 |`;
    expect(verdictOf(drawing)).toBe("luck: same thread");
    expect(verdictOf(drawing, {}, { orders: "sanctioned" })).toBe("race");
  });

  it("is not ordered by another request of its context either", () => {
    const drawing = `
      main                         | io1
                                   | r1: begin; inc n1; read children n1 @reader
                                   | r2: begin; inc n2; dec n2; end
      drained s1 n2 @drainer; remove children n1 e1 @editor; release s1 n2 |`;
    expect(verdictOf(drawing)).toBe("luck: same thread");
  });
});
