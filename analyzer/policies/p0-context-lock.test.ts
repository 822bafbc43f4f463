// P0: accesses under the AioContext lock of the owner's home, and without.

import { describe, expect, it } from "vitest";
import { analyze } from "../analyze.ts";
import { traceFromText } from "../test-support/trace-from-text.ts";
import { judgedBy } from "../test-support/verdict.ts";

/** Node 1 and what belongs to it is at home in io1, whose lock is l2. */
const SETTING = `
      main                                 | io1 | io2
      context main; lock-new l1 main; context io1; lock-new l2 io1; context io2; lock-new l3 io2 |
      node n1 disk; home n1 io1; blk b1 drive; home b1 io1 |`;

/** Somebody in io1 and main has seen the objects. */
const SEEN = `
                                           | r1: begin; inc b1; inc n1; dec n1; dec b1; end`;

describe("P0", () => {
  it("accepts reads and edits under the lock of the owner's home", () => {
    const text = `${SETTING}${SEEN}
                                           | lock l2; r2: begin; read children n1 @reader; end
                                           | unlock l2
      lock l2; insert children n1 e1 @editor; read parents n1 @reader; set blk_root b1 e1 @editor; unlock l2 |`;
    expect(judgedBy("P0", text)).toEqual([]);
  });

  it("finds a read without any lock, and one under the lock of another context", () => {
    const text = `${SETTING}${SEEN}
                                           | lock l2; unlock l2
                                           | read children n1 @reader
                                           |     | lock l3; read children n1 @other; unlock l3`;
    const [one, two] =
      analyze(traceFromText(text), { policies: ["P0"] }).policies?.[0]?.findings ?? [];
    expect(one).toMatchObject({
      rule: "read-without-context-lock",
      list: "children",
      title: "reader reads children of node 'disk' without the lock of its context.",
      why: "Its home is io1; io1 did not hold the AioContext lock of io1, which nobody held.",
    });
    expect(two?.title).toBe("other reads children of node 'disk' without the lock of its context.");
  });

  it("finds an edit while another thread holds the lock, and says who", () => {
    const text = `${SETTING}${SEEN}
                                           | lock l2
      insert children n1 e1 @editor        |
                                           | unlock l2`;
    const { policies = [] } = analyze(traceFromText(text), { policies: ["P0"] });
    expect(policies[0]?.findings.map(({ rule, why }) => [rule, why])).toEqual([
      [
        "edit-without-context-lock",
        "Its home is io1; main did not hold the AioContext lock of io1, which io1 held.",
      ],
    ]);
  });

  it("finds a read after the lock was given back, once for a place, however often", () => {
    const text = `${SETTING}${SEEN}
                                           | lock l2; unlock l2; read children n1 @reader; read children n1 @reader`;
    const { policies = [] } = analyze(traceFromText(text), { policies: ["P0"] });
    expect(policies[0]?.findings.map(({ count }) => count)).toEqual([2]);
  });

  it("leaves to the big lock what main reads anywhere and edits at home, and what nobody else can have seen", () => {
    const text = `${SETTING}
      node n2 home; insert children n2 e2 @editor; read children n1 @reader |
                                           | lock l2; unlock l2
      insert children n1 e1 @editor        |`;
    expect(judgedBy("P0", text)).toEqual([]);
  });

  it("asks for the lock of the node that the edge of a job points at", () => {
    const text = `${SETTING}${SEEN}
      edge e5 j1 main; set edge_bs e5 n1 @editor |
                                           | lock l2; unlock l2
                                           |     | read edge_bs e5 @reader`;
    expect(judgedBy("P0", text)).toEqual(["read-without-context-lock"]);
  });

  it("knows neither races nor luck: the lock is all", () => {
    const text = `${SETTING}${SEEN}
                                           | lock l2; r2: begin; read children n1 @reader; end
                                           | unlock l2
      lock l2; insert children n1 e1 @editor; unlock l2 |`;
    expect(judgedBy("P1", text)).toEqual(["edit-outside-drain", "covered-by-luck"]);
    expect(judgedBy("P0", text)).toEqual([]);
  });

  it("does not judge a trace without such locks", () => {
    const text = `${SETTING}${SEEN}
                                           | read children n1 @reader`;
    expect(judgedBy("P0", text)).toEqual([
      "The trace never takes an AioContext lock, so that lock cannot be what protects its lists.",
    ]);
  });
});
