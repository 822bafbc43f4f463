// RAPID's HBEpoch and SHBEpoch told apart: each trace has one of the rules by which they differ in it, and what each engine counts.
//
// HBEpoch judges by the last write and the recorded reads; a racing read is not recorded, a racing write is, and a write of a new
// epoch forgets the reads if there are several. SHBEpoch judges by all writes and all reads, and orders a read after the write
// that it read from. The figures were worked out by hand from these rules, as RAPID's source has them.

import { describe, expect, it } from "vitest";
import { sourceOf } from "#traces/std";
import { analyzeFlat, type FlatOrder } from "./flat.ts";
import { stdTrace } from "./test-support.ts";

/** Racy events, locations and variables, and the first racy event. */
type Figures = readonly [
  events: number,
  locations: number,
  variables: number,
  first: number | null,
];

const TABLE: readonly {
  readonly rule: string;
  readonly trace: string;
  readonly hb: Figures;
  readonly shb: Figures;
}[] = [
  {
    rule: "a reader learns what its writer knew: the second read is no race of its own",
    trace: "T1|w(data)|1 T1|w(flag)|2 T2|r(flag)|3 T2|r(data)|4",
    hb: [2, 2, 2, 2],
    shb: [1, 1, 1, 2],
  },
  {
    rule: "a read is judged before it learns: it races, and the next read of the same variable does not",
    trace: "T1|w(x)|1 T2|r(x)|2 T2|r(x)|3",
    hb: [2, 2, 1, 1],
    shb: [1, 1, 1, 1],
  },
  {
    rule: "a racing read is recorded, or not: does the next write race with it?",
    trace: "T1|w(x)|1 T2|r(x)|2 T1|w(x)|3",
    hb: [1, 1, 1, 1],
    shb: [2, 2, 1, 1],
  },
  {
    rule: "an earlier racing write is remembered, or not: does who saw the last one only race?",
    trace: "T1|w(x)|1 T2|w(x)|2 T2|acq(l)|3 T2|rel(l)|4 T3|acq(l)|5 T3|r(x)|6",
    hb: [1, 1, 1, 1],
    shb: [2, 2, 1, 1],
  },
  {
    rule: "a write forgets the reads when they are several",
    trace: "T1|r(x)|1 T2|r(x)|2 T3|w(x)|3 T3|acq(l)|4 T3|rel(l)|5 T4|acq(l)|6 T4|w(x)|7",
    hb: [1, 1, 1, 2],
    shb: [2, 2, 1, 2],
  },
  {
    rule: "a write keeps a single read",
    trace: "T1|r(x)|1 T3|w(x)|3 T3|acq(l)|4 T3|rel(l)|5 T4|acq(l)|6 T4|w(x)|7",
    hb: [2, 2, 1, 1],
    shb: [2, 2, 1, 1],
  },
  {
    rule: "a write in the same epoch forgets nothing: another thread's write races with both reads still",
    trace:
      "T3|w(x)|1 T3|acq(l)|2 T3|rel(l)|3 T1|acq(l)|4 T1|rel(l)|5 T1|r(x)|6 T2|acq(l)|7 T2|rel(l)|8 T2|r(x)|9 T4|w(x)|10",
    hb: [1, 1, 1, 9],
    shb: [1, 1, 1, 9],
  },
  {
    rule: "an event is racy once, with however many it races; a location counts once",
    trace: "T1|w(x)|1 T2|w(x)|1 T3|w(x)|1 T1|w(y)|2 T2|w(y)|2",
    hb: [3, 2, 2, 1],
    shb: [3, 2, 2, 1],
  },
  {
    rule: "nothing races: a fork, a lock and a join",
    trace: "T1|w(x)|1 T1|fork(T2)|2 T2|w(x)|3 T1|join(T2)|4 T1|r(x)|5",
    hb: [0, 0, 0, null],
    shb: [0, 0, 0, null],
  },
];

function figures(trace: string, order: FlatOrder): Figures {
  const result = analyzeFlat(sourceOf(stdTrace(trace.split(" ").join("\n"))), { order });
  const { racyEvents, racyLocations, racyVariables, firstRacyEvent } = result;
  return [racyEvents, racyLocations, racyVariables, firstRacyEvent];
}

describe.each(TABLE)("$rule", ({ trace, hb, shb }) => {
  it("as HBEpoch counts", () => expect(figures(trace, "hb")).toEqual(hb));

  it("as SHBEpoch counts", () => expect(figures(trace, "shb")).toEqual(shb));
});

it("both agree on the first racy event, and each rule of the five tells them apart", () => {
  for (const { hb, shb } of TABLE) expect(hb[3]).toBe(shb[3]);
  expect(TABLE.filter(({ hb, shb }) => hb.join() !== shb.join())).toHaveLength(5);
});
