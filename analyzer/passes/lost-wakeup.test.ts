// Main waits for a counter that an iothread lowers.

import { describe, expect, it } from "vitest";
import { analyze } from "../analyze.ts";
import { traceFromText } from "../test-support/trace-from-text.ts";

function ofText(text: string): string[] {
  return analyze(traceFromText(text))
    .findings.filter(({ rule }) => rule === "lost-wakeup")
    .map(({ title }) => title);
}

/** While main waits and has read node 1's counter as non-zero, coroutine 1 does `what`. */
function found(what: string, look = "busy n1 s1"): string[] {
  return ofText(`
      main                               | io1
      wait w1 @drain; ${look}; look w1 busy |
                                         | enter c1; ${what}; yield c1
      look w1; wait-over w1              |`);
}

describe("a wake-up is lost", () => {
  it("when nobody kicks after the store", () => {
    expect(found("dec n1")).toEqual([
      "Nobody wakes the wait in drain when what it waits for comes true.",
    ]);
  });

  it("and the reason names whose counter it is", () => {
    const { findings } = analyze(
      traceFromText(`
      main                               | io1
      blk b1 drive; wait w1 @drain; busy b1 s1; look w1 busy |
                                         | enter c1; dec b1; yield c1
      look w1; wait-over w1              |`),
    );
    expect(findings[0]?.why).toContain("made the in-flight counter of BlockBackend 'drive' zero");
  });

  it.each([
    ["the kick comes first", "kick; dec n1", 1],
    ["the kick comes after", "dec n1; kick", 0],
    ["something happens in between", "dec n1; read children n1 @f; kick", 0],
    ["it yields in between", "dec n1; yield c1; enter c1; kick", 1],
    ["another counter", "dec n2", 0],
    ["another kind of counter", "dec b1", 0],
  ])("%s", (_what, steps, count) => {
    expect(found(steps)).toHaveLength(count);
  });

  it.each([
    ["a BlockBackend's counter", "busy b1 s1", "dec b1", 1],
    ["a job that goes idle", "busy j1 s1", "idle j1", 1],
    ["a counter that was zero already", "zero n1 s1", "dec n1", 0],
    ["a counter that the latest look did not read", "busy n1 s1; look w1 busy", "dec n1", 0],
  ])("%s", (_what, look, steps, count) => {
    expect(found(steps, look)).toHaveLength(count);
  });

  it("not by what runs in main, which polls main", () => {
    expect(
      ofText(`
      main
      wait w1 @drain; busy n1 s1; look w1 busy; enter c1; dec n1; yield c1; look w1; wait-over w1`),
    ).toEqual([]);
  });

  it("in a handler, which ends when the next one begins", () => {
    const text = (kick: string): string => `
      main                                  | io1
      wait w1 @drain; busy n1 s1; look w1 busy | bh h1; dec n1; ${kick} bh-done h1`;
    expect(ofText(text(""))).toHaveLength(1);
    expect(ofText(text("kick;"))).toEqual([]);
  });

  it("when the run itself says so", () => {
    expect(
      ofText(`
      main
      context main; wait-lost main @drain; run-end deadlock`),
    ).toEqual(["main sleeps in drain although what it waits for has come true."]);
  });
});
