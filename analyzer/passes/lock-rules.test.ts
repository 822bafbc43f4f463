// Locks: requests without the lock of their node, releases by somebody else, and circles.

import { describe, expect, it } from "vitest";
import { analyze } from "../analyze.ts";
import { traceFromText } from "../test-support/trace-from-text.ts";

function linesOf(text: string): string[] {
  return analyze(traceFromText(text)).findings.map(
    ({ rule, title, why }) => `${rule}: ${title} ${why}`,
  );
}

const SETTING = `
      main                                 | io1
      context main; lock-new l1 main; context io1; lock-new l2 io1; node n1 disk; home n1 io1 |`;

describe("wrong AioContext lock", () => {
  it("a request at a node whose lock another context holds, or nobody", () => {
    const text = `${SETTING}
      lock l2                              |
                                           | r1: begin; inc n1; dec n1; end
      unlock l2                            |
      r2: begin; inc n1; dec n1; end       |`;
    expect(linesOf(text)).toEqual([
      "wrong-context-lock: A request at node 'disk' runs in io1 without the lock of its context. " +
        "The node is at home in io1, whose AioContext lock main held when the request raised the node's in-flight counter. " +
        "Also: The node is at home in io1, whose AioContext lock nobody held when the request raised the node's in-flight counter.",
    ]);
  });

  it("not under the lock, not in main at home, and not in a run without such locks", () => {
    const held = `${SETTING}
                                           | lock l2; r1: begin; inc n1; dec n1; end
                                           | unlock l2
      node n2 home; r2: begin; inc n2; dec n2; end |`;
    const none = `${SETTING}
                                           | r1: begin; inc n1; dec n1; end`;
    expect(linesOf(held)).toEqual([]);
    expect(linesOf(none)).toEqual([]);
  });

  it("a release by a context that does not hold it", () => {
    const text = `${SETTING}
      lock l2                              |
                                           | unlock l2`;
    expect(linesOf(text)).toEqual([
      "wrong-context-lock: io1 releases an AioContext lock that it does not hold. It is that of io1, which main held.",
    ]);
  });
});

describe("locks in a circle", () => {
  const circle = (gate: string, free: string): string => `
      main                                 | io1
      context main; lock-new l1 main; context io1; lock-new l2 io1; context main; lock-new l3 main |
      ${gate} lock l1; lock l2; unlock l2; unlock l1; ${free} |
                                           | ${gate} lock l2; lock l1; unlock l1; unlock l2; ${free}`;

  it("two contexts take two locks in different orders", () => {
    expect(linesOf(circle("", ""))).toEqual([
      "lock-order-cycle: Locks are taken in a circle: lock 'main', then lock 'io1', then lock 'main'. " +
        "main took lock 'io1' while holding lock 'main', at event 7; io1 took lock 'main' while holding lock 'io1', at event 11.",
    ]);
  });

  it("not under a common lock", () => {
    expect(linesOf(circle("lock l3;", "unlock l3;"))).toEqual([]);
  });

  it("not when one context does both, nor when the orders agree", () => {
    const alone = `
      main
      lock l1; lock l2; unlock l2; unlock l1; lock l2; lock l1; unlock l1; unlock l2`;
    const agree = `
      main                                 | io1
      lock l1; lock l2; unlock l2; unlock l1 |
                                           | lock l1; lock l2; unlock l2; unlock l1`;
    expect(linesOf(alone)).toEqual([]);
    expect(linesOf(agree)).toEqual([]);
  });

  it("three of them", () => {
    const text = `
      main                   | io1                    | io2
      lock l1; lock l2; unlock l2; unlock l1 |        |
                             | lock l2; lock l3; unlock l3; unlock l2 |
                             |                        | lock l3; lock l1; unlock l1; unlock l3`;
    expect(linesOf(text)).toHaveLength(1);
    expect(linesOf(text)[0]).toContain("lock 1, then lock 2, then lock 3, then lock 1");
  });

  it("coroutines keep theirs while they sleep", () => {
    const text = `
      main
      enter c1; mutex l1; mutex l2; unmutex l2; unmutex l1; terminate c1
      enter c2; mutex l2; yield c2; enter c3; mutex l3; unmutex l3; terminate c3; enter c2; mutex l1; unmutex l1; unmutex l2; terminate c2`;
    expect(linesOf(text)).toHaveLength(1);
    expect(
      linesOf(text.replace("enter c2; mutex l1; unmutex l1; unmutex l2;", "unmutex l2;")),
    ).toEqual([]);
  });
});
