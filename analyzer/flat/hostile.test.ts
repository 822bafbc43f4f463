// Traces that are made to hurt: a result or one sentence, in bounded memory. Limits are set low where the real ones would need
// hundreds of megabytes; that they hold is the same code.

import { describe, expect, it } from "vitest";
import { Prng, QuiesceError } from "#core/base";
import { bytesSource } from "#traces";
import {
  type AbstractBlock,
  type AbstractSource,
  collect,
  newBlock,
  StdOp as Op,
  RapidBinReader,
  type StdOp,
  StdReader,
} from "#traces/std";
import { analyzeAtomicity } from "./atomicity.ts";
import { analyzeFlat, type FlatOrder } from "./flat.ts";
import { analyzeLockSets } from "./lockset.ts";
import { randomTrace, stdText, stdTrace } from "./test-support.ts";

const MILLION = 1_000_000;
const BLOCK = 1 << 14;

type Event = readonly [thread: number, op: StdOp, operand: number];

/** `count` events made by `make`, over a million variables and locks. */
function generated(
  count: number,
  make: (i: number) => Event,
  threads: number = MILLION,
): AbstractSource {
  const table = { count: MILLION, name: String };
  return {
    names: { threads: { count: threads, name: String }, variables: table, locks: table },
    *blocks(): Generator<AbstractBlock, void, undefined> {
      for (let first = 0; first < count; first += BLOCK) {
        const block = newBlock(BLOCK);
        block.count = Math.min(BLOCK, count - first);
        for (let i = 0; i < block.count; i++) {
          const [thread, op, operand] = make(first + i);
          block.threads[i] = thread;
          block.ops[i] = op;
          block.operands[i] = operand;
        }
        yield block;
      }
    },
  };
}

describe.each<FlatOrder>(["hb", "shb"])("%s", (order) => {
  it("a million threads that know nothing of each other need no clocks", () => {
    const { racyEvents } = analyzeFlat(
      generated(MILLION, (i) => [i, Op.write, i === MILLION - 1 ? 0 : i]),
      { order, limits: { flatAccessEntriesMax: 1 << 20 } },
    );
    expect(racyEvents).toBe(1);
  });

  it("a million variables and a million locks are judged", () => {
    const ops = [Op.acquire, Op.write, Op.release] as const;
    const make = (i: number) =>
      [Math.floor(i / 3) & 1, ops[i % 3] ?? Op.write, Math.floor(i / 3)] as const;
    const { racyEvents } = analyzeFlat(generated(3 * MILLION, make, 2), { order });
    expect(racyEvents).toBe(0);
  });

  it("threads that know too much of each other are refused in one sentence", () => {
    const forks = generated(MILLION, (i) => [i, Op.fork, (i + 1) % MILLION]);
    const limits = { flatClockEntriesMax: 1 << 22 };
    expect(() => analyzeFlat(forks, { order, limits })).toThrow(
      "What 1000000 threads know of each other does not fit into 4194304 entries; analyse a part of the trace, or one with fewer threads.",
    );
  });

  it("too many threads that read the same variables are refused in one sentence", () => {
    const reads = generated(MILLION, (i) => [i % 1000, Op.read, Math.floor(i / 1000)]);
    const limits = { flatAccessEntriesMax: 1 << 22 };
    expect(() => analyzeFlat(reads, { order, limits })).toThrow(
      "The accesses of variables that several threads read or raced on do not fit into 4194304 entries;",
    );
  });

  it("pairs beyond the limit are counted, and locations beyond it are refused", () => {
    const trace = stdTrace("T0|w(x)|1\nT1|w(x)|2\nT2|w(x)|3\nT3|w(x)|4\n");
    const source = { names: trace.names, blocks: () => [trace.events] };
    const few = analyzeFlat(source, { order, limits: { flatPairsMax: 1 } });
    expect([few.pairs.length, few.racyEvents]).toEqual([1, 3]);
    expect(few.pairsBeyondLimit).toBe(order === "hb" ? 2 : 5);
    expect(() => analyzeFlat(source, { order, limits: { flatLocationsMax: 2 } })).toThrow(
      "The trace has races at more than 2 locations; analyse a part of it.",
    );
  });

  it("accesses that all race with one another are refused before they take for ever", () => {
    const make = (i: number) => [i, Op.write, 0] as const;
    const limits = { flatPairsMax: 10, flatPairsBeyondMax: 1000 };
    const source = generated(3000, make, 3000);
    const sited: AbstractSource = {
      ...source,
      *blocks(): Generator<AbstractBlock, void, undefined> {
        for (const block of source.blocks()) {
          for (let i = 0; i < block.count; i++) block.locations[i] = i;
          yield block;
        }
      },
    };
    expect(() => analyzeFlat(sited, { order, limits })).toThrow(
      "more than 10 racing pairs of sites, and more than 1000 occurrences of others; analyse a part of it.",
    );
  });

  it("every limit says what to do, as a limit", () => {
    const forks = generated(MILLION, (i) => [i, Op.fork, (i + 1) % MILLION]);
    try {
      analyzeFlat(forks, { order, limits: { flatClockEntriesMax: 1 << 20 } });
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(QuiesceError);
      expect((error as QuiesceError).kind).toBe("limit");
    }
  });
});

it("the lock discipline and the atomicity of blocks have limits, too", () => {
  const nested = generated(10_000, (i) => [0, Op.acquire, i]);
  expect(() => analyzeLockSets(nested, { limits: { flatLockSetMembersMax: 1000 } })).toThrow(
    "The locks that are held together do not fit into 1000 entries; analyse a part of the trace.",
  );
  const open = generated(10_000, (i) =>
    i === 0 ? [0, Op.begin, -1] : i === 1 ? [0, Op.write, 0] : [i, Op.read, 0],
  );
  expect(() => analyzeAtomicity(open, { limits: { flatTransactionsMax: 1000 } })).toThrow(
    "Too many blocks and events of the trace depend on blocks that have not ended; analyse a part of it.",
  );
});

describe("bytes that are hardly a trace", () => {
  const random = new Prng(1);
  const text = Buffer.from(stdText(randomTrace({ seed: 1, events: 60, blocks: true })));

  /** The text with a few bytes changed, cut out, or doubled. */
  function mutated(): Buffer {
    const bytes = [...text];
    for (let changes = random.below(4); changes >= 0; changes--) {
      const at = random.below(bytes.length);
      const kind = random.below(3);
      if (kind === 0) bytes[at] = random.below(256);
      else if (kind === 1) bytes.splice(at, 1 + random.below(20));
      else bytes.splice(at, 0, ...bytes.slice(at, at + random.below(20)));
    }
    return Buffer.from(bytes);
  }

  it.each([
    ["STD", (bytes: Buffer) => new StdReader(bytesSource(bytes))],
    ["RapidBin", (bytes: Buffer) => new RapidBinReader(bytesSource(bytes))],
  ] as const)("%s: a sentence about the file, or a trace that both orders judge", (_, open) => {
    let judged = 0;
    for (let i = 0; i < 60; i++) {
      const bytes = mutated();
      try {
        const trace = collect(open(bytes));
        for (const order of ["hb", "shb"] as const)
          analyzeFlat({ names: trace.names, blocks: () => [trace.events] }, { order });
        judged++;
      } catch (error) {
        expect(error).toBeInstanceOf(QuiesceError);
        expect((error as QuiesceError).message).toMatch(
          /^(Line \d+ |The RapidBin trace )[^\n]+\.$/,
        );
      }
    }
    expect(judged).toBeLessThan(60);
  });
});
