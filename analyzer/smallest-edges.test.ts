import { describe, expect, it } from "vitest";
import { QuiesceError } from "#core/base";
import { Analysis } from "./analysis.ts";
import { analyze } from "./analyze.ts";
import { ACCIDENTAL_EDGES, type AccidentalEdge } from "./edge-kinds.ts";
import type { AnalysisResult, Finding } from "./findings.ts";
import type { AnalyzeOptions, TraceInput } from "./input.ts";
import { RandomTrace } from "./test-support/random-trace.ts";
import { traceFromText } from "./test-support/trace-from-text.ts";

function drawn(text: string): TraceInput {
  const trace = traceFromText(text);
  return { ...trace, again: () => trace.batches };
}

function luckyOf(text: string, options: AnalyzeOptions = {}): Finding | undefined {
  const { findings } = analyze(drawn(text), { ...options, smallestEdges: true });
  return findings.find(({ rule }) => rule === "covered-by-luck");
}

/** The result of a trace that is read as often as the analysis itself needs it; judging again fails. */
function failingAgain(kind: QuiesceError["kind"]): AnalysisResult {
  const trace = traceFromText(LOCK);
  let readings = 0;
  const again = (): TraceInput["batches"] => {
    readings--;
    if (readings < 0) throw new QuiesceError(kind, "Told to the test.");
    return trace.batches;
  };
  readings = 100;
  analyze({ ...trace, again });
  readings = 100 - readings;
  return analyze({ ...trace, again }, { smallestEdges: true });
}

/** Whether the one pair of a drawing races without these kinds. */
function races(text: string, left: readonly AccidentalEdge[]): boolean {
  const reading = left.includes("same-thread") ? "task" : "thread";
  const { findings } = analyze(drawn(text), { disableEdges: new Set(left), reading });
  return findings.some(({ rule }) => rule === "race");
}

/** How many findings of a random trace say what they rest on: as that trace is judged by all of its lists. */
function confirmed(seed: number): number {
  const order = seed % 4 === 0 ? "shb" : "hb";
  const uniqueSites = seed % 2 === 0;
  const contexts = 2 + (seed % 3);
  const { writer, sites } = new RandomTrace({
    seed,
    events: 150,
    uniqueSites,
    contexts,
    exotic: seed % 5 === 2,
  });
  const { batches } = writer;
  const trace = { batches, sites, strings: [""], again: () => batches };
  const { findings } = analyze(trace, { smallestEdges: true, order });
  const racesOf = (left: readonly AccidentalEdge[]): Set<string> => {
    const reading = left.includes("same-thread") ? "task" : "thread";
    const analysis = new Analysis({ disableEdges: new Set(left), reading, order });
    for (const batch of batches) analysis.feed(batch);
    const all = analysis.finish(sites, [""]).findings;
    return new Set(all.filter(({ rule }) => rule === "race").map(pairOf));
  };
  const told = findings.filter(({ raceWithout }) => raceWithout !== undefined);
  for (const finding of told) {
    const left = (finding.raceWithout ?? []).map((kind) =>
      kind === "same thread" ? "same-thread" : kind,
    );
    const name = `seed ${seed}, without ${left.join(" and ")}`;
    expect(racesOf(left), name).toContain(pairOf(finding));
    for (const kept of left)
      expect(racesOf(left.filter((kind) => kind !== kept)), name).not.toContain(pairOf(finding));
  }
  return told.length;
}

function pairOf({ list, accesses }: Finding): string {
  return [list, ...accesses.map(({ what, site }) => `${what} ${site.name}`).sort()].join();
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

/** The same two places on two lists: a lock and a bottom half, either of which would do for n1, a bottom half alone for n2. */
const TWO_LISTS = `
  main                         | io1
  lock-new l1 drive0           |
                               | lock l1; r1: begin; read children n1 @reader; unlock l1; schedule h1; end
  lock l1; unlock l1; bh h1; remove children n1 e1 @editor; bh-done h1 |
                               | r2: begin; read children n2 @reader; schedule h2; end
  bh h2; remove children n2 e2 @editor; bh-done h2 |`;

/** What io1 did before it edited n2 comes before what main did once it had read that, too. */
const READ_FROM = `
  main                         | io1
  lock-new l1 drive0           |
                               | lock l1; r1: begin; read children n1 @reader; unlock l1; end
                               | insert children n2 e2 @other
  lock l1; unlock l1; read children n2 @third; remove children n1 e1 @editor |`;

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
    [
      "one that will do for one of two lists",
      TWO_LISTS,
      ["bh"],
      "without bottom halves, it is a race.",
    ],
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

  it("a limit that judging again reaches leaves the finding as it is", () => {
    const { findings } = failingAgain("limit");
    const lucky = findings.find(({ rule }) => rule === "covered-by-luck");
    expect(lucky?.luckyEdge?.kind).toBe("lock");
    expect(lucky).not.toHaveProperty("raceWithout");
  });

  it("a file that cannot be read again ends the analysis", () => {
    expect(() => failingAgain("input")).toThrow("Told to the test.");
  });

  it("by the order that a read gives, reads of other lists count", () => {
    const lucky = luckyOf(READ_FROM, { order: "shb" });
    expect(lucky?.raceWithout).toEqual(["read-from", "lock"]);
    expect(luckyOf(READ_FROM)?.raceWithout).toEqual(["lock"]);
  });

  it("of random traces, judged as a whole: without them it is a race, with any one of them it is none", () => {
    let found = 0;
    for (let seed = 100; seed <= 140; seed++) found += confirmed(seed);
    expect(found).toBeGreaterThan(15);
  });

  it("the order of a thread's handlers is one", () => {
    expect(luckyOf(SAME_THREAD)?.raceWithout).toEqual(["same thread"]);
    expect(races(SAME_THREAD, ["same-thread"])).toBe(true);
  });
});
