// The two readings of program order: under the thread reading all that one context does is in a row; under the task reading
// two of its handlers are ordered only by what posted them.

import { describe, expect, it } from "vitest";
import { analyze } from "../analyze.ts";
import { traceFromText } from "../test-support/trace-from-text.ts";
import { verdictOf } from "../test-support/verdict.ts";

const TABLE: readonly { readonly what: string; readonly task: string; readonly drawing: string }[] =
  [
    {
      what: "two handlers of one context: another schedule could run them the other way round",
      task: "race",
      drawing: `
      main                         | io1
                                   | bh h1; read children n1 @reader; bh-done h1
                                   | bh h2; lock l1; unlock l1; bh-done h2
      lock l1; remove children n1 e1 @editor; unlock l1 |`,
    },
    {
      what: "one handler: its events are in a row by any schedule",
      task: "luck: lock",
      drawing: `
      main                         | io1
                                   | bh h1; read children n1 @reader; lock l1; unlock l1; bh-done h1
      lock l1; remove children n1 e1 @editor; unlock l1 |`,
    },
    {
      what: "a handler that the other one posted",
      task: "luck: lock",
      drawing: `
      main                         | io1
                                   | bh h1; read children n1 @reader; schedule h2; bh-done h1
                                   | bh h2; lock l1; unlock l1; bh-done h2
      lock l1; remove children n1 e1 @editor; unlock l1 |`,
    },
    {
      what: "a coroutine, however often it yields",
      task: "luck: lock",
      drawing: `
      main                         | io1
                                   | enter c1; read children n1 @reader; yield c1; bh h1; bh-done h1
                                   | enter c1; lock l1; unlock l1; terminate c1
      lock l1; remove children n1 e1 @editor; unlock l1 |`,
    },
    {
      what: "what a handler knew, when a later one has its component and main heard of that one first",
      task: "luck: lock",
      drawing: `
      main                         | io1 | io2
      schedule h2                  |     |
                                   |     | r1: begin; read children n1 @reader; schedule h1; end
                                   | bh h1; lock l1; unlock l1; bh-done h1 |
                                   | bh h2; lock l2; unlock l2; bh-done h2 |
      lock l2; unlock l2           |     |
      lock l1; remove children n1 e1 @editor; unlock l1 | |`,
    },
    {
      what: "two coroutines of one context",
      task: "race",
      drawing: `
      main                         | io1
                                   | bh h1; enter c1; read children n1 @reader; yield c1; bh-done h1
                                   | bh h2; enter c2; lock l1; unlock l1; yield c2; bh-done h2
      lock l1; remove children n1 e1 @editor; unlock l1 |`,
    },
    {
      what: "a handler that enters a coroutine goes on after it",
      task: "luck: lock",
      drawing: `
      main                         | io1
                                   | bh h1; enter c1; read children n1 @reader; yield c1; lock l1; unlock l1; bh-done h1
      lock l1; remove children n1 e1 @editor; unlock l1 |`,
    },
    {
      what: "the completion of what a coroutine submitted",
      task: "luck: lock",
      drawing: `
      main                         | io1
                                   | enter c1; read children n1 @reader; submit o1; yield c1
                                   | complete o1; lock l1; unlock l1
      lock l1; remove children n1 e1 @editor; unlock l1 |`,
    },
    {
      what: "a request goes on in another handler",
      task: "luck: lock",
      drawing: `
      main                         | io1
                                   | bh h1; r1: begin; read children n1 @reader; r0: bh-done h1
                                   | bh h2; r1: lock l1; unlock l1; end; r0: bh-done h2
      lock l1; remove children n1 e1 @editor; unlock l1 |`,
    },
    {
      what: "main is one actor by any reading",
      task: "luck: lock",
      drawing: `
      main                                                                        | io1
      bh h1; remove children n1 e1 @editor; bh-done h1; bh h2; lock l1; unlock l1 |
                                                                                  | lock l1; read children n1 @reader`,
    },
  ];

describe("program order", () => {
  it.each(TABLE)("$what: $task", ({ task, drawing }) => {
    expect(verdictOf(drawing)).toBe("luck: lock");
    expect(verdictOf(drawing, {}, { reading: "task" })).toBe(task);
  });

  it("is said by the result, and that a race may need another schedule", () => {
    const of = (reading: "thread" | "task") =>
      analyze(traceFromText("main\nread children n1 @reader"), { reading });
    expect(of("thread").reading).toBe("thread");
    expect(of("task").reading).toBe("task");
    expect(of("task").notes.join(" ")).toContain("another schedule");
  });
});

it("tells both readings of one run in one pass: what only the task reading finds stands beside the rest, and says so", () => {
  const drawing = (TABLE[0] as (typeof TABLE)[number]).drawing;
  const of = (reading: "thread" | "task" | "both") => analyze(traceFromText(drawing), { reading });
  const [thread, task, both] = [of("thread"), of("task"), of("both")];
  const prints = (findings: typeof both.findings) => findings.map((one) => one.fingerprint).sort();
  const races = task.findings.filter(({ rule }) => rule === "race");
  expect(races).toHaveLength(1);
  expect(prints(both.findings)).toEqual(prints([...thread.findings, ...races]));
  expect(both.coverage).toEqual(thread.coverage);
  expect(both.findings.find(({ rule }) => rule === "race")?.why).toContain(
    "In this run only the order of an iothread's handlers orders them",
  );
});
