// A trace that can be read again, of which the full order is followed for suspect lists alone, and so is the task reading, against
// one that can be read but once.

import { describe, expect, it } from "vitest";
import { EventBatch, WORDS_PER_EVENT } from "#core/probe";
import { analyze } from "./analyze.ts";
import { Suspects, SuspectsEverywhere } from "./conflicts/suspects.ts";
import { Variable } from "./conflicts/variable.ts";
import type { AnalysisResult } from "./findings.ts";
import type { AnalyzeOptions, TraceInput } from "./input.ts";
import { RandomProtocol } from "./test-support/random-protocol.ts";
import { RandomRules } from "./test-support/random-rules.ts";
import { RandomTrace } from "./test-support/random-trace.ts";
import { traceFromText } from "./test-support/trace-from-text.ts";

const BATCH_EVENTS = 16;

/** The same events, a few at a time. */
function* fewAtATime(batches: Iterable<EventBatch>): Generator<EventBatch, void, void> {
  for (const batch of batches) {
    for (let from = 0; from < batch.count; from += BATCH_EVENTS) {
      const few = new EventBatch(BATCH_EVENTS);
      few.count = Math.min(BATCH_EVENTS, batch.count - from);
      const [start, end] = [from * WORDS_PER_EVENT, (from + few.count) * WORDS_PER_EVENT];
      few.ints.set(batch.ints.subarray(start, end));
      yield few;
    }
  }
}

/** What a result says; some random traces make one edge twice, of two kinds, and then the name of its kind depends on when one looks. */
function said(result: AnalysisResult): unknown {
  return JSON.parse(JSON.stringify(result).replaceAll(/\(child_\w+\)/g, "(an edge)"));
}

/** Both readings of `trace`, one after the other; the same as side by side. `seenAgain`: events that were read again. */
function bothReadings(
  trace: TraceInput,
  name = "",
  options: AnalyzeOptions = {},
): { result: AnalysisResult; seenAgain: number } {
  const asked: AnalyzeOptions = { ...options, reading: "both" };
  let seenAgain = 0;
  const again = function* (): Generator<EventBatch, void, void> {
    for (const batch of fewAtATime(trace.batches)) {
      seenAgain += batch.count;
      yield batch;
    }
  };
  const result = analyze({ ...trace, again }, asked);
  expect(said(result), name).toEqual(said(analyze(trace, asked)));
  const byThread: AnalyzeOptions = { ...options, reading: "thread" };
  const seen = seenAgain;
  expect(said(analyze({ ...trace, again }, byThread)), name).toEqual(
    said(analyze(trace, byThread)),
  );
  seenAgain = seen;
  return { result, seenAgain };
}

/** A pair that the handlers of io1 order as they ran, and a lock orders with main. */
const byLuck = (before: string, after: string): string => `
  main                       | io1
  node n1 disk; edge e1 n1 f |
  ${before || "bh h9; bh-done h9"} |
                             | bh h1; ${before === "" ? "read children n1 @reader" : "lock l1; unlock l1"}; bh-done h1
                             | bh h2; ${before === "" ? "lock l1; unlock l1" : "read children n1 @reader"}; bh-done h2
  ${after || "bh h9; bh-done h9"} |`;

describe("both orders and both readings say the same where they look at suspect lists alone", () => {
  it.each([
    [
      "an edit after a read",
      byLuck("", "lock l1; remove children n1 e1 @editor; unlock l1"),
      "race",
    ],
    [
      "a read after an edit",
      byLuck("lock l1; insert children n1 e1 @editor; unlock l1", ""),
      "race",
    ],
    [
      "a free after a read",
      byLuck("", "lock l1; op @bdrv_delete; free n1; op-end; unlock l1"),
      "race-with-free",
    ],
    [
      "an edit after an edit",
      byLuck("", "lock l1; remove children n1 e1 @editor; unlock l1").replace(
        "read children n1 @reader",
        "insert children n1 e1 @reader",
      ),
      "race",
    ],
    [
      "a free after an edit",
      byLuck("", "lock l1; op @bdrv_delete; free n1; op-end; unlock l1").replace(
        "read children n1 @reader",
        "insert children n1 e1 @reader",
      ),
      "race-with-free",
    ],
  ])("%s", (name, drawing, rule) => {
    const rules = ({ findings }: AnalysisResult) => findings.map((finding) => finding.rule);
    const trace = traceFromText(drawing);
    expect(rules(analyze(trace))).not.toContain(rule);
    expect(rules(bothReadings(trace, name).result)).toContain(rule);
  });

  it.each([false, true])("of random traces (others than main edit too: %s)", (exotic) => {
    for (let seed = 1; seed <= 50; seed++) {
      const { writer, sites } = new RandomTrace({
        seed,
        events: 150,
        uniqueSites: seed % 2 === 0,
        exotic,
        contexts: 2 + (seed % 3),
      });
      const trace = { batches: writer.batches, sites, strings: [""] };
      bothReadings(trace, `seed ${seed}`, { order: seed % 3 === 0 ? "shb" : "hb" });
    }
  });

  it("of random traces about lifetimes and drains", () => {
    for (let seed = 1; seed <= 50; seed++) {
      for (const { writer, sites, strings } of [
        { ...new RandomRules(seed, 150), strings: [""] },
        new RandomProtocol(seed, 150),
      ])
        bothReadings({ batches: writer.batches, sites, strings }, `seed ${seed}`);
    }
  });
});

it("a run whose every pair some protocol orders is read once, others again up to the last pair that none orders", () => {
  const drained = `
    main                                                              | io1
                                                                      | r1: begin; inc b1; gate b1; read children n1 @reader; dec b1; end
    drained s1 n1 b1 @f; remove children n1 e1 @editor; release s1 n1 b1 |`;
  expect(bothReadings(traceFromText(drained)).seenAgain).toBe(0);
  const lucky = byLuck("", "lock l1; remove children n1 e1 @editor; unlock l1");
  const once = bothReadings(traceFromText(lucky));
  const long = bothReadings(traceFromText(`${lucky}${"\n bh h3; bh-done h3 |".repeat(100)}`));
  expect(once.seenAgain).toBeGreaterThan(0);
  expect(long.result.events).toBe(once.result.events + 200);
  // Once for the full order, once for the task reading.
  expect(long.seenAgain).toBeLessThan(once.seenAgain + 2 * BATCH_EVENTS);
});

it("where more lists are suspect than are told apart, all are", () => {
  const suspects = new Suspects(2);
  expect(suspects.isEmpty).toBe(true);
  for (const owner of [1, 2, 2]) suspects.add(new Variable(1, owner, null), owner, null);
  expect([1, 2, 3].map((owner) => suspects.has(1, owner))).toEqual([true, true, false]);
  expect(suspects.has(2, 1)).toBe(false);
  suspects.add(new Variable(2, 7, null), 9, null);
  expect(suspects.areAll && suspects.has(3, 9)).toBe(true);
});

it("an accident is called the same, however many other accesses are passed over", () => {
  const { writer, sites } = new RandomTrace({
    seed: 373,
    events: 150,
    uniqueSites: false,
    exotic: false,
    contexts: 3,
  });
  bothReadings({ batches: writer.batches, sites, strings: [""] });
});

it("a run with accidents all over is followed in the full order from the start", () => {
  const suspects = new Suspects(9, 2);
  const variable = new Variable(1, 1, null);
  for (const index of [0, 4095, 4096]) suspects.add(variable, index, null);
  expect(() => suspects.add(variable, 9000, null)).toThrow(SuspectsEverywhere);
  const { writer, sites } = new RandomTrace({
    seed: 1,
    events: 75_000,
    uniqueSites: false,
    exotic: false,
    contexts: 3,
  });
  bothReadings({ batches: writer.batches, sites, strings: [""] });
});
