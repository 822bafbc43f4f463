// A trace of quiesce as threads and locks: the accesses are the same, and so is what happens-before says of them.

import { describe, expect, it } from "vitest";
import { Ev, type EventBatch, LIST_KINDS } from "#core/probe";
import { bytesSource } from "#traces";
import {
  type AbstractSource,
  collect,
  QuiesceSource,
  STD_WORDS,
  StdOp,
  StdReader,
  stdLines,
} from "#traces/std";
import { analyze } from "../analyze.ts";
import { RandomTrace } from "../test-support/random-trace.ts";
import { traceFromText } from "../test-support/trace-from-text.ts";
import { analyzeFlat } from "./flat.ts";

/** `batches` written as STD text and read again. */
function exported(batches: Iterable<EventBatch>): AbstractSource {
  const source = new QuiesceSource(batches);
  const lines = Array.from(source.blocks(), (block) => stdLines(block, source.names));
  return new StdReader(bytesSource(Buffer.concat(lines)));
}

function racyEvents(drawing: string): number {
  return analyzeFlat(exported(traceFromText(drawing).batches), { order: "hb" }).racyEvents;
}

/** Thread, operation, list and site of each access to a list, as the trace has them. */
function accessesOf(batches: Iterable<EventBatch>): string[] {
  const owners: Readonly<Record<string, string>> = { edge_bs: "e", blk_root: "blk" };
  const words: string[] = [];
  for (const batch of batches)
    for (let i = 0; i < batch.count; i++) {
      const kind = batch.kind(i);
      const isRead = kind === Ev.list_read;
      if (!isRead && kind !== Ev.list_insert && kind !== Ev.list_remove && kind !== Ev.list_set)
        continue;
      const list = LIST_KINDS[batch.arg(i, 0)] ?? "";
      const variable = `${list}.${owners[list] ?? "n"}${batch.arg(i, 1)}`;
      const site = batch.arg(i, isRead ? 2 : 3);
      words.push(`ctx${batch.ctx(i)} ${isRead ? "r" : "w"} ${variable} ${site}`);
    }
  return words;
}

function accessesIn(source: AbstractSource): string[] {
  const { events, names } = collect(source);
  const words: string[] = [];
  for (let i = 0; i < events.count; i++) {
    const op = events.ops[i]!;
    if (op !== StdOp.read && op !== StdOp.write) continue;
    const variable = names.variables.name(events.operands[i]!);
    words.push(
      `${names.threads.name(events.threads[i]!)} ${STD_WORDS[op]} ${variable} ${events.locations[i]}`,
    );
  }
  return words;
}

/** In random traces, tasks go from one context to another as no coroutine can; the threads of the export do not follow. */
function someTaskMoves(batches: Iterable<EventBatch>): boolean {
  const contexts = new Map<number, number>();
  for (const batch of batches)
    for (let i = 0; i < batch.count; i++) {
      const [task, ctx] = [batch.task(i), batch.ctx(i)];
      if (task > 0 && (contexts.get(task) ?? ctx) !== ctx) return true;
      contexts.set(task, ctx);
    }
  return false;
}

const random = (seed: number) =>
  new RandomTrace({
    seed,
    events: 60 + (seed % 4) * 50,
    uniqueSites: false,
    exotic: seed % 2 === 0,
  });

describe("exported as STD", () => {
  it("a trace has the same accesses when it is read again", () => {
    for (let seed = 1; seed <= 40; seed++) {
      const { batches } = random(seed).writer;
      expect(accessesIn(exported(batches))).toEqual(accessesOf(batches));
    }
  });

  it("a trace is one that a program can make", () => {
    for (let seed = 1; seed <= 40; seed++) {
      const { irregularities } = analyzeFlat(exported(random(seed).writer.batches), {
        order: "hb",
      });
      expect(irregularities, `seed ${seed}`).toEqual({ count: 0, first: null });
    }
  });

  it("a random trace races if and only if the analyzer finds accesses that neither order orders", () => {
    const seen = { race: 0, none: 0, hidden: 0 };
    for (let seed = 1; seed <= 250; seed++) {
      const events = 30 + (seed % 4) * 20;
      const trace = new RandomTrace({ seed, events, uniqueSites: false, exotic: false });
      const { batches } = trace.writer;
      if (someTaskMoves(batches)) continue;
      const { coverage } = analyze({ batches, sites: trace.sites, strings: [""] });
      const isRacing = coverage.some(({ uncovered }) => uncovered > 0);
      const source = new QuiesceSource(batches);
      const isFound = analyzeFlat(source, { order: "hb" }).racyEvents > 0;
      // Where a message had two receivers, an order was added, which may hide a race; it never makes one.
      if (isFound || source.addedOrders === 0) expect(isFound, `seed ${seed}`).toBe(isRacing);
      else seen.hidden++;
      seen[isRacing ? "race" : "none"]++;
    }
    expect(Math.min(seen.race, seen.none)).toBeGreaterThan(20);
    expect(seen.hidden).toBeLessThan(30);
  });

  it("what only a lock orders is ordered, as happens-before knows nothing of drains", () => {
    expect(
      racyEvents(`
      main                          | io1
                                    | lock l1; r1: begin; read children n1 @reader; unlock l1
      lock l1; remove children n1 e1 @editor; unlock l1 |`),
    ).toBe(0);
  });

  it("what a drain waited for is ordered, and what it did not wait for is not", () => {
    const drained = (ending: string) => `
      main                          | io1
                                    | r1: begin; inc b1; read children n1 @reader; ${ending}
      drained s1 n1 b1 @drainer; remove children n1 e1 @editor; release s1 n1 b1 |`;
    expect(racyEvents(drained("dec b1; end"))).toBe(0);
    expect(racyEvents(drained(""))).toBe(1);
  });
});
