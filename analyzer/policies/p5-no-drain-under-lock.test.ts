// P5: no drain begins under the graph lock.

import { describe, expect, it } from "vitest";
import { judgedBy } from "../test-support/verdict.ts";

describe("P5", () => {
  it("accepts a drain around the lock", () => {
    const text = `
      main
      drained s1 n1 @f; wrlock; insert children n1 e1 @editor; wrunlock; release s1 n1`;
    expect(judgedBy("P5", text)).toEqual([]);
  });

  it.each(["rdlock", "wrlock"])("finds a drain under %s, where P4 does not", (take) => {
    const text = `
      main
      ${take}; drained s1 n1 @f; release s1 n1; ${take.replace("lock", "unlock")}`;
    expect(judgedBy("P4", text)).toEqual([]);
    expect(judgedBy("P5", text)).toEqual(["drain-under-graph-lock"]);
  });

  it("leaves alone the drain of somebody who does not hold it", () => {
    const text = `
      main                          | io1
                                    | enter c1; rdlock
      drained s1 n1 @f; release s1 n1 |
                                    | rdunlock; terminate c1`;
    expect(judgedBy("P5", text)).toEqual([]);
  });

  it("demands what P4 demands", () => {
    const text = `
      main | io1
           | rdlock; rdunlock; read children n1 @reader`;
    expect(judgedBy("P5", text)).toEqual(["read-without-graph-lock"]);
  });

  it("does not judge a trace that never takes the lock", () => {
    expect(judgedBy("P5", "main\ndrained s1 n1 @f; release s1 n1")[0]).toMatch(/never takes/);
  });
});
