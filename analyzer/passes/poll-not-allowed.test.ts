// Polls where none is allowed.

import { describe, expect, it } from "vitest";
import { analyze } from "../analyze.ts";
import { traceFromText } from "../test-support/trace-from-text.ts";

function ofText(text: string): string[] {
  return analyze(traceFromText(text))
    .findings.filter(({ rule }) => rule === "poll-not-allowed")
    .map(({ title, count }) => `${title} x${count}`);
}

const POLL = "wait w1 @f; look w1 busy; poll; polled; look w1; wait-over w1";

describe("a poll is not allowed", () => {
  it("in a coroutine", () => {
    const text = (steps: string): string => `
      main | io1
           | enter c1; ${steps}; yield c1`;
    expect(ofText(text(POLL))).toEqual(["f polls in a coroutine. x1"]);
    expect(ofText(text("poll; polled"))).toEqual([
      "Code that runs an event loop polls in a coroutine. x1",
    ]);
    // A wait whose condition is false at once does not poll.
    expect(ofText(text("wait w1 @f; look w1; wait-over w1"))).toEqual([]);
  });

  it("while a transaction is undone, but by what the callback calls only", () => {
    const text = (steps: string): string => `
      main
      op @f; abort bdrv_x; ${steps}; abort-end bdrv_x; ${POLL}; op-end`;
    expect(ofText(text(POLL))).toEqual(["f polls while bdrv_x_abort undoes its action. x1"]);
    expect(ofText(text(`bh h1; ${POLL}; bh-done h1`))).toEqual([]);
  });

  it("between two levels of drained_begin", () => {
    const text = (between: string, after: string): string => `
      main
      drain s1 n1 @g; up n1 s1; ${between}; up b1 s1; ${after}; waited s1; begun s1; undrain s1; down n1 s1; down b1 s1; undrained s1`;
    expect(ofText(text(POLL, "zero n1 s1"))).toEqual([
      "f polls in the middle of drained_begin by g. x1",
    ]);
    expect(ofText(text("zero n1 s1", POLL))).toEqual([]);
    // What is attached while the section is there is drained with it, and polled for.
    expect(ofText(text("zero n1 s1", `${POLL}; waited s1; up n2 s1`))).toEqual([]);
    expect(ofText(text(`bh h1; ${POLL}; bh-done h1`, "zero n1 s1"))).toEqual([]);
  });

  it("between two levels of drained_end", () => {
    const text = (between: string, after: string): string => `
      main
      drained s1 n1 b1 @g; undrain s1 @g; down n1 s1; ${between}; down b1 s1; ${after}; undrained s1`;
    expect(ofText(text(POLL, "zero n1"))).toEqual([
      "f polls in the middle of drained_end by g. x1",
    ]);
    expect(ofText(text("zero n1", POLL))).toEqual([]);
  });
});
