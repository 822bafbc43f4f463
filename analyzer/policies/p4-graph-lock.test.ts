// P4: reads under the graph lock or in main, edits under it for writing, and the lock itself kept.

import { describe, expect, it } from "vitest";
import { analyze } from "../analyze.ts";
import { traceFromText } from "../test-support/trace-from-text.ts";
import { judgedBy } from "../test-support/verdict.ts";

const PROPER = `
      main                             | io1
      read children n1 @main_reader    |
                                       | enter c1; rdlock @reader; r1: begin c1; read children n1 @reader
                                       | rdlock @nested; read parents n1 @nested; rdunlock @nested; read parents n1 @reader
                                       | r1: end c1; rdunlock @reader; terminate c1
      wrlock @writer; insert children n1 e1 @editor; insert parents n2 e1 @editor; wrunlock @writer |`;

describe("P4", () => {
  it("accepts reads under the lock or in main, and edits under it for writing", () => {
    expect(judgedBy("P4", PROPER)).toEqual([]);
  });

  it("finds a read before the lock is taken, or after it was given back", () => {
    const early = PROPER.replace("rdlock @reader; r1: begin c1;", "r1: begin c1;").replace(
      "rdunlock @reader;",
      "",
    );
    const { policies = [] } = analyze(traceFromText(early), { policies: ["P4"] });
    expect(policies[0]?.findings).toMatchObject([
      {
        rule: "read-without-graph-lock",
        title: "reader reads children of node 1 without the graph lock.",
        why: "It ran in context 1, and neither its coroutine nor its request had taken the graph lock.",
      },
      { title: "reader reads parents of node 1 without the graph lock." },
    ]);
  });

  it("does not accept the lock of another coroutine", () => {
    const text = `
      main | io1
           | enter c1; rdlock; yield c1; enter c2; read children n1 @reader; terminate c2; enter c1; rdunlock; terminate c1`;
    expect(judgedBy("P4", text)).toEqual(["read-without-graph-lock"]);
  });

  it("accepts the lock that the request took in another coroutine", () => {
    const text = `
      main | io1
           | enter c1; r1: begin c1; rdlock; yield c1; enter c2; read children n1 @reader; terminate c2; enter c1; rdunlock; end c1`;
    expect(judgedBy("P4", text)).toEqual([]);
  });

  it("finds an edit under the lock for reading, and one that a poll inside the writer runs", () => {
    const reading = PROPER.replace("wrlock", "rdlock").replace("wrunlock", "rdunlock");
    expect(judgedBy("P4", reading)).toEqual(["edit-without-graph-lock", "edit-without-graph-lock"]);
    const nested = `
      main
      wrlock; bh h1; insert children n1 e1 @editor; bh-done h1; wrunlock`;
    expect(judgedBy("P4", nested)).toEqual(["edit-without-graph-lock"]);
  });

  it("finds a lock that is not kept", () => {
    const broken = (cells: string): string[] => judgedBy("P4", `main | io1\n${cells}`);
    expect(broken("wrlock | \n | rdlock; rdunlock \n wrunlock |")).toEqual(["graph-lock-broken"]);
    expect(broken(" | rdlock \n wrlock; wrunlock | \n | rdunlock")).toEqual(["graph-lock-broken"]);
    expect(broken("rdlock; rdunlock | \n | rdunlock")).toEqual(["graph-lock-broken"]);
    expect(broken("wrunlock |")).toEqual(["graph-lock-broken"]);
    expect(broken("wrlock; wrunlock | \n | rdlock; rdunlock")).toEqual([]);
  });

  it("does not judge a trace that never takes the lock", () => {
    expect(judgedBy("P4", "main | io1\n | read children n1 @reader")).toEqual([
      "The trace never takes the graph lock (QEMU has it since 8.0), so that lock cannot be what protects its lists.",
    ]);
  });
});
