// One change at a time is planted into a recording of the demo, or into what it is replayed with: the first differing event
// is named. replay/replay-trace.test.ts does the same on a small world, position by position.

import { describe, expect, it } from "vitest";
import { must } from "#core/base";
import { Ev, EventBatch, WORDS_PER_EVENT } from "#core/probe";
import { recordScenario, SCENARIOS, worldBuilder } from "#explorer";
import { type RecordedTrace, replayTrace } from "#replay";
import { bytesSource, type TraceHeader, TraceReader } from "#traces";

const demo = must(
  SCENARIOS.find(({ name }) => name === "demo"),
  "the demo is built in",
);
const recorded = load(recordScenario(demo, { seed: 3 }).bytes);

/** The whole recording in one batch, with its tables. */
interface Loaded {
  readonly header: TraceHeader;
  readonly strings: readonly string[];
  readonly events: EventBatch;
}

function load(bytes: Uint8Array): Loaded {
  const reader = TraceReader.open(bytesSource(bytes));
  let count = 0;
  for (const batch of reader.batches()) count += batch.count;
  const events = new EventBatch(count);
  for (const batch of reader.batches()) {
    events.ints.set(
      batch.ints.subarray(0, batch.count * WORDS_PER_EVENT),
      events.count * WORDS_PER_EVENT,
    );
    events.count += batch.count;
  }
  return { header: reader.header, strings: reader.strings, events };
}

function replay(change: (events: EventBatch) => void, header: Partial<TraceHeader> = {}) {
  const events = new EventBatch(recorded.events.count);
  events.ints.set(recorded.events.ints);
  events.count = recorded.events.count;
  change(events);
  const trace: RecordedTrace = {
    header: { ...recorded.header, ...header },
    strings: recorded.strings,
    batches: () => [events],
  };
  return replayTrace(trace, { buildWorld: worldBuilder(() => demo) });
}

/** Index of the `which`-th event of `kind`. */
function find(kind: number, which: number): number {
  let seen = 0;
  for (let index = 0; index < recorded.events.count; index++)
    if (recorded.events.kind(index) === kind && seen++ === which) return index;
  throw new Error("the recording has fewer events of this kind");
}

function count(kind: number): number {
  let seen = 0;
  for (let index = 0; index < recorded.events.count; index++)
    if (recorded.events.kind(index) === kind) seen++;
  return seen;
}

describe("a change planted into the demo is named", () => {
  it.each([10, 50, 90])(
    "result of the completion after %i percent of them flipped: at the dispatch that returns it",
    (percent) => {
      const at = find(Ev.io_complete, Math.floor((count(Ev.io_complete) * percent) / 100));
      const op = recorded.events.arg(at, 0);
      const { divergence } = replay((events) => {
        events.ints[at * WORDS_PER_EVENT + 4] = -28;
      });
      const { index, expected, actual, before } = must(divergence, "the replay diverges");
      expect(recorded.events.kind(index)).toBe(Ev.io_done);
      expect(recorded.events.arg(index, 0)).toBe(op);
      expect(expected).toContain("io_done");
      expect(actual).toContain("ENOSPC");
      expect(before).toHaveLength(100);
    },
  );

  it.each([10, 777])("an observation changed (edit %i): that event", (which) => {
    const at = find(Ev.list_read, which);
    const { divergence } = replay((events) => {
      const word = at * WORDS_PER_EVENT + 3;
      events.ints[word] = must(events.ints[word], "the owner") + 1;
    });
    expect(divergence?.index).toBe(at);
  });

  it("patch 10 toggled: at the first subtree drain that is not there", () => {
    const { divergence } = replay(() => {}, {
      patchesOn: recorded.header.patchesOn.filter((patch) => patch !== 10),
    });
    expect(divergence?.expected).toMatch(/drain_begin .*kind=subtree/);
    expect(divergence?.graph).toBeDefined();
  });

  it("the AioContext lock taken where it was not: at the first lock", () => {
    expect(replay(() => {}, { lock: "aio" }).divergence?.actual).toContain("lock_acquire");
  });

  it("another seed: somewhere", () => {
    expect(replay(() => {}, { seed: 4 }).identical).toBe(false);
  });
});
