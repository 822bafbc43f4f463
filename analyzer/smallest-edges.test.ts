import { describe, expect, it } from "vitest";
import { analyze } from "./analyze.ts";
import { ACCIDENTAL_EDGES, type AccidentalEdge } from "./edge-kinds.ts";
import type { Finding } from "./findings.ts";
import type { TraceInput } from "./input.ts";
import { traceFromText } from "./test-support/trace-from-text.ts";

function drawn(text: string): TraceInput {
  const trace = traceFromText(text);
  return { ...trace, again: () => trace.batches };
}

function luckyOf(text: string): Finding | undefined {
  const { findings } = analyze(drawn(text), { smallestEdges: true });
  return findings.find(({ rule }) => rule === "covered-by-luck");
}

/** Whether the one pair of a drawing races without these kinds. */
function races(text: string, left: readonly AccidentalEdge[]): boolean {
  const reading = left.includes("same-thread") ? "task" : "thread";
  const { findings } = analyze(drawn(text), { disableEdges: new Set(left), reading });
  return findings.some(({ rule }) => rule === "race");
}

/** All sets of kinds without which it is a race, the smallest first. */
function setsOf(text: string): AccidentalEdge[][] {
  const all = Array.from({ length: 1 << ACCIDENTAL_EDGES.length }, (_, bits) =>
    ACCIDENTAL_EDGES.filter((_, i) => (bits >> i) % 2 === 1),
  );
  return all.filter((left) => races(text, left)).sort((a, b) => a.length - b.length);
}

const LOCK = `
  main                         | io1
  lock-new l1 drive0           |
                               | lock l1; r1: begin; read children n1 @reader; unlock l1
  lock l1; remove children n1 e1 @editor; unlock l1 |`;

const LOCK_AND_BH = `
  main                         | io1
  lock-new l1 drive0           |
                               | lock l1; r1: begin; read children n1 @reader; unlock l1; schedule h1
  lock l1; unlock l1; bh h1; remove children n1 e1 @editor |`;

const ONE_AFTER_THE_OTHER = `
  main                         | io1 | io2
  lock-new l1 drive0           |     |
                               | lock l1; r1: begin; read children n1 @reader; unlock l1 |
                               |     | lock l1; unlock l1; schedule h1
  bh h1; remove children n1 e1 @editor | |`;

/** Two ways that meet at the lock. */
const FORK = `
  main                         | io1 | io2
  lock-new l1 drive0           |     |
                               | lock l1; r1: begin; read children n1 @reader; unlock l1 |
                               |     | lock l1; unlock l1; schedule h1; ~kick
  wait-end; bh h1; remove children n1 e1 @editor | |`;

const SAME_THREAD = `
  main                         | io1
  schedule h1; schedule h2     |
                               | bh h1; r1: begin; read children n1 @reader; bh-done h1
                               | bh h2; r2: begin; inc n1; dec n1; end; bh-done h2
  drained s1 n1 @drainer; remove children n1 e1 @editor; release s1 n1 |`;

describe("the smallest edges without which a pair is a race", () => {
  it.each([
    ["a lock alone", LOCK, ["lock"], "Judged again without locks, it is a race."],
    [
      "a lock and a bottom half, either of which would do",
      LOCK_AND_BH,
      ["bh", "lock"],
      "Judged again without locks and bottom halves, it is a race; with any one of them, it is none.",
    ],
    ["the named one of two in a row", ONE_AFTER_THE_OTHER, ["bh"], "without bottom halves"],
    ["the one at which two ways meet, which is not the named one", FORK, ["lock"], "without locks"],
  ])("%s", (_, text, expected, sentence) => {
    const lucky = luckyOf(text);
    expect([...(lucky?.raceWithout ?? [])].sort()).toEqual(expected);
    expect(lucky?.why).toContain(sentence);
    // Against all sets.
    const sets = setsOf(text);
    expect(sets[0]).toHaveLength(expected.length);
    expect(sets.map((set) => [...set].sort().join())).toContain(expected.join());
  });

  it("is not looked for unless asked for, nor where the trace can be read but once", () => {
    expect(analyze(drawn(LOCK)).findings[0]).not.toHaveProperty("raceWithout");
    const { findings } = analyze(traceFromText(LOCK), { smallestEdges: true });
    expect(findings[0]).not.toHaveProperty("raceWithout");
  });

  it("the order of a thread's handlers is one", () => {
    expect(luckyOf(SAME_THREAD)?.raceWithout).toEqual(["same thread"]);
    expect(races(SAME_THREAD, ["same-thread"])).toBe(true);
  });
});
