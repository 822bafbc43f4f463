import { describe, expect, it } from "vitest";
import { must } from "#core/base";
import { Ev, IS_INPUT } from "#core/probe";
import { replayTrace } from "./index.ts";
import {
  buildTestWorld,
  MemoryProbe,
  type Mutation,
  type Row,
  recordTestWorld,
  rowsOf,
  traceOf,
} from "./test-support.ts";

const recorded = recordTestWorld();
const LEVELS = ["full", "inputs"] as const;

function replay(rows: readonly Row[], level: "full" | "inputs", mutation: Mutation = "none") {
  const recorder = new MemoryProbe();
  const report = replayTrace(traceOf(rows, recorded.strings, level), {
    buildWorld: (_header, parts) => buildTestWorld(parts, mutation),
    recorder,
  });
  return { report, regenerated: rowsOf(recorder.batches) };
}

/** A copy of the recording in which `change` was made. */
function planted(change: (rows: Row[]) => void): Row[] {
  const rows = recorded.rows.map((row) => [...row] as Row);
  change(rows);
  return rows;
}

function buildNothing(): never {
  throw new Error("a refused recording builds no world");
}

function indexOfKind(kind: number, which = 0): number {
  let seen = 0;
  return recorded.rows.findIndex((row) => row[0] === kind && seen++ === which);
}

describe("replay", () => {
  it("has inputs of every kind to replay", () => {
    const kinds = new Set(
      recorded.rows.map((row) => row[0]).filter((kind) => IS_INPUT[kind] === 1),
    );
    expect([...kinds].sort((a, b) => a - b)).toEqual([
      Ev.sched_choice,
      Ev.io_complete,
      Ev.timer_expire,
      Ev.fd_ready,
      Ev.clock_read,
      Ev.host_call,
      Ev.data_decision,
      Ev.run_end,
    ]);
  });

  it.each(LEVELS)("of a %s recording is identical and regenerates every event", (level) => {
    const { report, regenerated } = replay(recorded.rows, level);
    expect(report).toMatchObject({ identical: true, complete: true, events: recorded.rows.length });
    expect(regenerated).toEqual(recorded.rows);
  });

  it.each(LEVELS)("of a %s recording that breaks off is identical as far as it goes", (level) => {
    const { report } = replay(recorded.rows.slice(0, recorded.rows.length / 2), level);
    expect(report).toMatchObject({ identical: true, complete: false });
  });

  it("says of a recording that diverges whether it breaks off as well", () => {
    const cut = recorded.rows.slice(0, -1);
    expect(replay(recorded.rows, "full", "one more flush").report.complete).toBe(true);
    expect(replay(cut, "full", "one more flush").report).toMatchObject({
      identical: false,
      complete: false,
    });
  });

  it("names the first event that a flipped result changes", () => {
    const at = indexOfKind(Ev.io_complete, 7);
    const rows = planted((copy) => {
      must(copy[at], "the completion")[5] = -5;
    });
    const { divergence } = replay(rows, "full").report;
    const done = recorded.rows.findIndex((row, i) => i > at && row[0] === Ev.io_done);
    expect(divergence?.index).toBe(done);
    expect(divergence?.expected).toMatch(/io_done .*ret=0/);
    expect(divergence?.actual).toMatch(/io_done .*ret=-5|io_done .*ret=-EIO/);
    expect(divergence?.before.length).toBe(Math.min(100, done));
  });

  it("names the place where a completion was dropped", () => {
    const at = indexOfKind(Ev.io_complete, 5);
    const { divergence } = replay(
      planted((copy) => copy.splice(at, 1)),
      "full",
    ).report;
    expect(divergence?.index).toBe(at);
  });

  it("names the first of two completions that were swapped", () => {
    const first = indexOfKind(Ev.io_complete, 3);
    const second = indexOfKind(Ev.io_complete, 4);
    const rows = planted((copy) => {
      const [a, b] = [must(copy[first], "first"), must(copy[second], "second")];
      copy[first] = b;
      copy[second] = a;
    });
    expect(replay(rows, "full").report.divergence?.index).toBe(first);
  });

  it("names the first event that changed code produces", () => {
    const { divergence } = replay(recorded.rows, "full", "one more flush").report;
    expect(divergence?.actual).toMatch(/io_submit .*flush/);
  });

  it("names a divergence of an inputs recording by its input", () => {
    const { report } = replay(recorded.rows, "inputs", "one more flush");
    expect(report.identical).toBe(false);
    expect(report.divergence?.expected).not.toBe("");
  });

  it.each(LEVELS)("of a %s recording names a failure where the recording goes on", (level) => {
    const { divergence, identical } = replay(recorded.rows, level, "fails").report;
    expect(identical).toBe(false);
    expect(divergence?.expected).toMatch(/ \w+=/);
    expect(divergence?.actual).toBe("(the replayed run failed: AssertionError: a planted bug)");
  });

  it("throws a failure where the recording ends, too", () => {
    const { divergence } = replay(recorded.rows, "full", "fails").report;
    const upToHere = recorded.rows.slice(0, divergence?.index);
    for (const level of LEVELS)
      expect(() => replay(upToHere, level, "fails")).toThrow("a planted bug");
  });

  it.each(LEVELS)("of a %s recording names a host call that asks for something else", (level) => {
    const { divergence } = replay(recorded.rows, level, "other size").report;
    expect(divergence?.expected).toMatch(/host_call call=truncate .*value=512/);
    expect(divergence?.actual).toMatch(/host_call call=truncate .*value=4096/);
  });

  it("compares strings by their text", () => {
    const { divergence } = replay(recorded.rows, "full", "other string").report;
    expect(divergence?.expected).toContain("begin");
    expect(divergence?.actual).toContain("begin!");
  });

  it("refuses a recording that another scheduling policy made", () => {
    const trace = traceOf(recorded.rows, recorded.strings, "full");
    const header = { ...trace.header, schedulerPolicy: 2 };
    expect(() => replayTrace({ ...trace, header }, { buildWorld: buildNothing })).toThrow(
      "scheduled by policy 2",
    );
  });

  it("says so when the recording is longer than the run, or shorter", () => {
    const longer = planted((copy) => copy.push([...must(copy[0], "an event")] as Row));
    expect(replay(longer, "full").report.divergence?.actual).toBe("(the replayed run has ended)");
    const otherEnd = planted((copy) => {
      must(copy.at(-1), "run_end")[3] = 3;
    });
    expect(replay(otherEnd, "inputs").report.identical).toBe(false);
  });
});
