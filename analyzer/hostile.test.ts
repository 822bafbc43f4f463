// Whatever a trace says, the analyzer answers: with findings, or with one sentence. The long form
// (tests/long/hostile-traces.ts) does the same with more of everything, and looks at time and memory.

import { describe, expect, it, test } from "vitest";
import { Ev, EventBatch, List } from "#core/probe";
import { answerTo, mutatedRun, WITHOUT_END, withoutEnd } from "./test-support/hostile.ts";

const SENTENCE = /^(\d+ findings|The trace .*\.)$/;

const CLOCKS = ["main", "vectors"] as const;

describe.each(CLOCKS)("the analyzer answers (%s)", (clocks) => {
  test("runs that were mutated", () => {
    for (let seed = 1; seed <= 100; seed++) {
      const batch = mutatedRun(seed);
      const orders = seed % 3 === 0 ? "sanctioned" : "both";
      expect(
        answerTo(() => [batch], clocks, { orders }),
        `seed ${seed}`,
      ).toMatch(SENTENCE);
    }
  });

  test.each(Object.keys(WITHOUT_END))("%s without end", (name) => {
    expect(answerTo(() => withoutEnd(name, 4_000), clocks)).toMatch(SENTENCE);
  });
});

it("what nothing ends costs the same for each event, however much of it there is", () => {
  expect(answerTo(() => withoutEnd("ends before begins", 400_000), "main")).toMatch(SENTENCE);
}, 20_000);

describe.each(CLOCKS)("it refuses with one sentence (%s)", (clocks) => {
  test.each([
    ["contexts", 10_000, /^The trace has a context with the number 4096; the analyzer follows/],
    ["sections that never end", 10_000, /more than 1,024 drained sections/],
    ["edges in one list", 10_000, /more than 4,096 edges in one list/],
    [
      "coroutines that a drainer waits for",
      20_000,
      /more than 1,024 (coroutines|drained sections)/,
    ],
  ])("%s", (name, events, sentence) => {
    expect(answerTo(() => withoutEnd(name, events), clocks)).toMatch(sentence);
  });

  test("a list that no graph has, and a site that no source has", () => {
    const batch = new EventBatch(1);
    batch.push(Ev.list_read, 1, 0, 77, 1, 1);
    expect(answerTo(() => [batch], clocks)).toMatch(
      /its event 0 speaks of a list that no graph has/,
    );
    batch.count = 0;
    batch.push(Ev.list_read, 1, 0, List.children, 1, -5);
    expect(answerTo(() => [batch], clocks)).toMatch(
      /its event 0 speaks of a site that no source has/,
    );
  });
});
