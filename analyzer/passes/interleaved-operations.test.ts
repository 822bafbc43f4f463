// Two operations on one thread: `a` begins, polls, and a bottom half runs `b` inside the poll.

import { describe, expect, it } from "vitest";
import { analyze } from "../analyze.ts";
import { traceFromText } from "../test-support/trace-from-text.ts";

/** What is said of `a` and `b`, whose steps are given; drains around them keep other rules quiet. */
function found(before: string, inner: string, after: string): string[] {
  return ofText(`
      main
      op @a; ${before}; poll
      bh h1; op @b; ${inner}; op-end; bh-done h1
      polled; ${after}; op-end`);
}

function ofText(text: string): string[] {
  return analyze(traceFromText(text))
    .findings.filter(({ rule }) => rule === "interleaved-operations")
    .map(({ title, why }) => `${title} ${why}`);
}

describe("operations interleave", () => {
  it("when the inner one edits what the outer one has read, and the outer one then sees another edit of the inner one", () => {
    expect(
      found(
        "node n1 x; node n2 y; read backing n1 @look",
        "set backing n1 e1 @set; insert parents n2 e1 @link",
        "read parents n2 @use",
      ),
    ).toEqual([
      "b runs in the middle of a; the outcome may be one that neither order of the two has. " +
        "a reads the list in look before it polls, then b edits it in set; " +
        "afterwards the outer one reads parents of node 'y' in use, which b had edited.",
    ]);
  });

  it.each([
    ["a lost update", "set file n1 e1 @f", "set file n1 e2 @g", "set file n1 e3 @f", 1],
    ["a dirty read", "set file n1 e1 @f", "read file n1 @g", "set file n1 e2 @f", 1],
    ["a could have run before b", "read file n1 @f", "set file n1 e1 @g", "read file n2 @f", 0],
    ["a could have run after b", "read file n2 @f", "set file n1 e1 @g", "read file n1 @f", 0],
    ["a looks again", "read file n1 @f", "set file n1 e1 @g", "read file n1 @f", 0],
    ["both only read", "read file n1 @f", "read file n1 @g", "read file n1 @f", 0],
    [
      "they touch different lists",
      "set file n1 e1 @f",
      "set file n2 e1 @g",
      "set file n1 e2 @f",
      0,
    ],
  ])("%s", (_what, before, inner, after, count) => {
    expect(found(before, inner, after)).toHaveLength(count);
  });

  it("not when the inner one is a part of the outer one", () => {
    const text = (how: string, back: string): string => `
      main
      op @a; set file n1 e1 @f; ${how}; op @b; set file n1 e2 @g; op-end; ${back}; set file n1 e3 @f; op-end`;
    expect(ofText(text("read children n3 @f", "read children n3 @f"))).toEqual([]);
    expect(ofText(text("poll; bh h1", "bh-done h1; polled"))).toHaveLength(1);
    // A bottom half that it has scheduled itself.
    expect(ofText(text("schedule h1; poll; bh h1", "bh-done h1; polled"))).toEqual([]);
  });

  it("not by what a drain reads for its own work: it looks again, and edges keep their own count", () => {
    const text = (begun: string): string => `
      main
      op @a; drain s1 n1 @a; read parents n1 @f; ${begun}
      bh h1; op @b; insert parents n1 e1 @g; remove children n2 e1 @g; op-end; bh-done h1
      waited s1; begun s1; read children n2 @f; undrain s1; undrained s1; op-end`;
    expect(ofText(text("poll"))).toEqual([]);
    expect(ofText(text("waited s1; begun s1; read parents n1 @f; poll"))).toHaveLength(1);
  });

  it("completions of jobs are operations as a whole", () => {
    const text = `
      main
      bh h1; completion j1 @job_exit; read file n1 @f; poll
      bh h2; completion j2 @job_exit; op @b; set file n1 e1 @g; set file n2 e1 @g; op-end; completed j2; bh-done h2
      polled; op @c; read file n2 @f; op-end; completed j1; bh-done h1`;
    expect(ofText(text)[0]).toContain("job_exit of job 2 runs in the middle of job_exit of job 1;");
  });

  it("where the outer one never ended, too", () => {
    const text = `
      main
      op @a; set file n1 e1 @f; poll; bh h1; op @b; set file n1 e2 @g; op-end; bh-done h1; polled; set file n1 e3 @f`;
    expect(ofText(text)).toHaveLength(1);
  });
});
