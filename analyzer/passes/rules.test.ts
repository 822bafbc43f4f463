// Rules that look at no pair: sections and counters out of balance, verdicts of the run, iterations, requests in a section.

import { describe, expect, it } from "vitest";
import { WORD_ARGS, WORDS_PER_EVENT } from "#core/probe";
import { analyze } from "../analyze.ts";
import type { AnalysisResult } from "../findings.ts";
import { traceFromText } from "../test-support/trace-from-text.ts";

function resultOf(text: string): AnalysisResult {
  return analyze(traceFromText(text));
}

function linesOf(text: string): string[] {
  return resultOf(text).findings.map(({ rule, title, why }) => `${rule}: ${title} ${why}`);
}

describe("unfinished drains", () => {
  it("a section that never ends", () => {
    const text = `
      main
      context main; drained s1 n1 @forgetful; run-end ok`;
    expect(linesOf(text)).toEqual([
      "unfinished-drain: The drain of node 1 by forgetful is out of balance. It was begun and never ended. " +
        "forgetful, in main at event 1, owes its end; it holds node 1 (1 level).",
    ]);
  });

  it("are not judged in a run that was cut short", () => {
    const text = `
      main
      context main; drained s1 n1 @forgetful; run-end limit`;
    expect(linesOf(text)).toEqual([]);
  });

  it("an end without a begin, where the trace has the run's beginning", () => {
    const text = `
      main
      context main; ~undrain s1 @f; undrained s1; run-end ok`;
    expect(linesOf(text)).toEqual([
      "end-without-begin: A drained section is out of balance. It was ended without having begun, or twice. " +
        "The end too many is that of f, in main at event 1.",
    ]);
    expect(linesOf(text.replace("context main; ", ""))).toEqual([]);
  });

  it("two ends too many are two findings, each with its function", () => {
    const { findings } = resultOf(`
      main
      context main; undrain s1 @f; undrained s1; undrain s2 @g; undrained s2; undrain s3 @g; undrained s3; run-end ok`);
    expect(findings.map(({ rule, site, count }) => [rule, site?.name, count])).toEqual([
      ["end-without-begin", "f", 1],
      ["end-without-begin", "g", 2],
    ]);
    expect(findings[0]?.fingerprint).not.toBe(findings[1]?.fingerprint);
  });

  it("a level that was left behind", () => {
    const text = `
      main
      context main; drain s1 n1 @f; up n1 s1; up b1 s1; waited s1; undrain s1; down n1 s1; undrained s1; run-end ok`;
    expect(linesOf(text)).toEqual([
      "leaked-level: The drain of node 1 by f is out of balance. It has ended, but levels that it had raised were never lowered: BlockBackend 1 (1 level).",
    ]);
  });

  it("a level that another section took over is not left behind", () => {
    const text = `
      main
      context main; drain s1 n1 @f; up n1 s1; up b1 s1; waited s1; drain s2 n2 @g; transfer b1 s1 s2
      undrain s1; down n1 s1; undrained s1; undrain s2; down b1 s2; undrained s2; run-end ok`;
    expect(linesOf(text)).toEqual([]);
  });
});

describe("verdicts of the run", () => {
  it("a modelled assertion", () => {
    const text = `
      main
      assertion bs->quiesce_counter>0 @assert_bdrv_graph_writable; run-end assertion`;
    expect(linesOf(text)).toEqual([
      "modelled-assertion: Assertion failed in assert_bdrv_graph_writable: bs->quiesce_counter>0. " +
        "The run stopped there, as QEMU would have: bs->quiesce_counter>0.",
    ]);
    expect(resultOf(text).runStatus).toBe("assertion");
  });

  it("global-state code in an iothread", () => {
    const text = `
      main         | io1
      context main | wrong-thread @bdrv_append`;
    expect(linesOf(text)[0]).toContain("wrong-thread: bdrv_append ran in context 1.");
  });

  it("I/O code in an iothread that is not the node's", () => {
    const text = `
      main         | io1                                      | io2
      context main |                                          |
                   | wrong-home io2 @bdrv_co_flush            |
                   | wrong-home io2 polls @bdrv_drained_begin |`;
    const lines = linesOf(text);
    expect(lines[0]).toContain("wrong-home: bdrv_co_flush ran in context 1.");
    expect(lines[0]).toContain("at home in context 2");
    expect(lines[1]).toContain("because it polls");
  });

  it("a deadlock, with what each context waits for", () => {
    const text = `
      main         | io1
      context main; context io1 |
      stuck main @bdrv_drained_begin; stuck io1 @aio_wait; run-end deadlock |`;
    expect(linesOf(text)).toEqual([
      "deadlock: Nothing can ever run again. main waits in bdrv_drained_begin; io1 waits in aio_wait.",
    ]);
  });

  it("a deadlock, with the counter that a drain waits for, and who holds it", () => {
    const text = `
      main
      context main; blk b1 drive; r1: begin; request b1; inc b1
      drain s1 n1 @bdrv_drained_begin; up b1 s1; busy b1 s1; stuck main @bdrv_drained_begin; run-end deadlock`;
    expect(linesOf(text)).toEqual([
      "deadlock: Nothing can ever run again. main waits in bdrv_drained_begin for the in-flight counter of BlockBackend 'drive', " +
        "which is 1: held by the write of 512 bytes at 0 on BlockBackend 'drive' (task 1), last seen in main itself.",
    ]);
  });

  it("contexts that wait for each other", () => {
    const text = (io1: string): string => `
      main                                | io1
      context main; context io1           |
      r1: begin; inc b1                   |
                                          | r2: begin; inc b2
      drain s1 n1 @main_drain; up b2 s1; busy b2 s1 |
                                          | ${io1}
      stuck main @main_drain; stuck io1 @io_drain; run-end deadlock |`;
    const lines = linesOf(text("drain s2 n2 @io_drain; up b1 s2; busy b1 s2"));
    expect(lines.map((line) => line.split(":")[0])).toEqual([
      "deadlock",
      "contexts-wait-in-circle",
    ]);
    expect(lines[1]).toContain("main and io1 wait for each other.");
    const oneWay = linesOf(text("drain s2 n2 @io_drain; up b2 s2; busy b2 s2"));
    expect(oneWay.map((line) => line.split(":")[0])).toEqual(["deadlock"]);
  });

  it("a recording that breaks off", () => {
    const result = resultOf(`
      main
      context main`);
    expect(result.complete).toBe(false);
    expect(result.runStatus).toBeNull();
    expect(result.notes[0]).toContain("not complete");
  });
});

describe("edits in the middle of an iteration", () => {
  it("by what runs in the loop's poll", () => {
    const text = `
      main
      iter parents n1 @bdrv_drop_intermediate; bh h1; op @f; drained s1 n1 @f; remove parents n1 e1 @editor; release s1 n1; op-end; bh-done h1
      iter-end parents n1 @bdrv_drop_intermediate`;
    expect(linesOf(text)).toEqual([
      "edit-in-iteration: editor edits parents of node 1 in the middle of an iteration in bdrv_drop_intermediate. " +
        "The loop was suspended in its body while something else on its way edited the list.",
    ]);
  });

  it("not by the loop's own body", () => {
    const text = `
      main
      op @f; drained s1 n1 @f; iter parents n1 @f; remove parents n1 e1 @editor; iter-end parents n1 @f; release s1 n1; op-end`;
    expect(linesOf(text)).toEqual([]);
  });

  it("not of another list, nor after the loop", () => {
    const text = `
      main
      iter parents n1 @f; iter-end parents n1 @f; iter children n1 @f
      bh h1; op @g; drained s1 n1 @g; remove parents n1 e1 @editor; release s1 n1; op-end; bh-done h1`;
    expect(linesOf(text)).toEqual([]);
  });
});

describe("requests that begin inside a drained section", () => {
  const text = (began: "before" | "after", more = ""): string => `
      main                            | io1
                                      | ${began === "before" ? "r1: begin c1; inc b1" : ""}
      drained s1 n1 @drainer; ${more} |
                                      | r1: ${began === "after" ? "begin c1;" : ""} inc n1; dec n1; end c1
      release s1 n1                   |`;

  it("are reported when they began after the wait", () => {
    expect(linesOf(text("after"))[0]).toContain(
      "request-in-drained-section: A request began inside the drain of node 1 by drainer.",
    );
  });

  it("not when they began before: whether the drain waited for them is the races' business", () => {
    expect(linesOf(text("before"))).toEqual([]);
  });

  it("not when the drainer started them", () => {
    expect(linesOf(text("after", "wrap c1"))).toEqual([]);
  });

  it.each([
    ["a bottom half", "bh h1; enter c1;", "A bottom half in context 1 started it."],
    [
      "an external client",
      "fd h1; enter c1;",
      "The handler of an external client in context 1 started it",
    ],
    ["a timer or completion", "enter c1;", "The event loop of context 1 started it"],
    ["a coroutine without a counter", "enter c2; enter c1;", "A coroutine in context 1 started it"],
    ["a job", "enter c1; job-gate j7;", "It is work of job 7"],
  ])("say who started them: %s", (_who, how, sentence) => {
    const started = text("after").replace("r1: begin c1;", `${how} r1: begin c1;`);
    expect(linesOf(started)[0]).toContain(sentence);
  });

  it("say which request started them, from its callback", () => {
    const [line] = linesOf(`
      main                       | io1
                                 | enter c2; r2: begin c2; inc b1
      drained s1 n1 @drainer     |
                                 | r1: enter c1; begin c1; inc n1; dec n1; end c1
      release s1 n1              |`);
    expect(line).toContain("The task 2 started it, in context 1");
  });

  it("not before the section has waited", () => {
    expect(linesOf(text("after").replace("drained", "quiesced"))).toEqual([]);
  });
});

describe("counters", () => {
  it("below zero", () => {
    const trace = traceFromText(`
      main | io1
           | r1: begin; dec n1; end`);
    for (const batch of trace.batches) batch.ints[WORDS_PER_EVENT + WORD_ARGS + 1] = -1;
    expect(analyze(trace).findings.map(({ rule }) => rule)).toEqual(["unbalanced-counter"]);
  });
});
