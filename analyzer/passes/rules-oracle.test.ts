// The drain ledger and the order of locks against brute force, on random traces: what each says is worked out again from the list
// of events alone.

import { expect, it } from "vitest";
import { Prng } from "#core/base";
import { Ev, type EventBatch, LockKindOf, Status } from "#core/probe";
import { analyze } from "../analysis.ts";
import { BatchWriter } from "../test-support/batches.ts";

interface Event {
  readonly kind: number;
  readonly ctx: number;
  readonly args: readonly number[];
}

function eventsOf(batches: readonly EventBatch[]): Event[] {
  return batches.flatMap((batch) =>
    Array.from({ length: batch.count }, (_, i) => ({
      kind: batch.kind(i),
      ctx: batch.ctx(i),
      args: [0, 1, 2, 3].map((slot) => batch.arg(i, slot)),
    })),
  );
}

const SITES = [1, 2, 3, 4, 5].map((line) => ({ name: `s${line}`, file: "f.c", line }));

function found({ batches }: BatchWriter, rules: readonly string[]): string[] {
  const { findings } = analyze({ batches, sites: SITES, strings: [""] });
  return findings
    .filter(({ rule }) => rules.includes(rule))
    .map(({ rule, title, count }) => `${rule} ${title} x${count}`);
}

// ---- The ledger ------------------------------------------------------------------------------------------------------

/** Sections of main on node 1, begun and ended in a random order; now and then a begin, an end or a level is left out. */
function randomLedger(seed: number): BatchWriter {
  const prng = new Prng(seed);
  const writer = new BatchWriter();
  const emit = (kind: number, ...args: number[]): unknown => writer.push(kind, 0, 0, ...args);
  if (prng.chance(4, 5)) emit(Ev.ctx_new, 0, 0);
  const open: number[] = [];
  let ids = 0;
  for (let step = 0; step < 14; step++) {
    if (open.length === 0 || prng.chance(1, 2)) {
      const id = ++ids;
      open.push(id);
      if (prng.chance(9, 10)) emit(Ev.drain_begin, id, 1, 1, 1 + (id % 5));
      emit(Ev.bs_quiesce, 1, 1, id, 0);
      if (prng.chance(1, 2)) emit(Ev.blk_quiesce, 1 + prng.below(2), 1, id, 0);
    } else {
      const [id = 0] = open.splice(prng.below(open.length), 1);
      emit(Ev.drain_end, id, 5);
      if (prng.chance(9, 10)) emit(Ev.bs_unquiesce, 1, 0, id, 0);
      for (const blk of [1, 2]) if (prng.chance(3, 4)) emit(Ev.blk_unquiesce, blk, 0, id, 0);
      emit(Ev.drain_ended, id);
      if (prng.chance(1, 12)) emit(Ev.drain_end, id, 5);
    }
  }
  if (prng.chance(3, 4)) emit(Ev.run_end, prng.chance(4, 5) ? Status.ok : Status.limit);
  return writer;
}

/** By rule and site: how many sections are out of balance in that way. */
function ledgerOracle(events: readonly Event[]): Map<string, number> {
  const counts = new Map<string, number>();
  const add = (rule: string, site: number): unknown =>
    counts.set(`${rule} ${site}`, (counts.get(`${rule} ${site}`) ?? 0) + 1);
  const ended = events.some(({ kind, args }) => kind === Ev.run_end && args[0] === Status.ok);
  const fromStart = events[0]?.kind === Ev.ctx_new;
  const about = (id: number, slot: number) => (event: Event) => event.args[slot] === id;
  const ids = new Set(
    events.filter(({ kind }) => kind === Ev.bs_quiesce).map(({ args }) => args[2] ?? 0),
  );
  for (const id of ids) {
    const own = events.filter(about(id, 0));
    const begin = own.find(({ kind }) => kind === Ev.drain_begin);
    const ends = own.filter(({ kind }) => kind === Ev.drain_end).length;
    const site = begin?.args[3] ?? 0;
    if (begin !== undefined && ends === 0 && ended) add("unfinished-drain", site);
    const tooMany = ends - (begin === undefined ? 0 : 1);
    if (fromStart) for (let i = 0; i < tooMany; i++) add("end-without-begin", i === 0 ? site : -1);
    const up: readonly number[] = [Ev.bs_quiesce, Ev.blk_quiesce];
    const down: readonly number[] = [Ev.bs_unquiesce, Ev.blk_unquiesce];
    const held = new Map<string, number>();
    for (const { kind, args } of events.filter(about(id, 2))) {
      const what = `${kind === Ev.bs_quiesce || kind === Ev.bs_unquiesce ? "n" : "b"}${args[0]}`;
      const level = held.get(what) ?? 0;
      if (up.includes(kind)) held.set(what, level + 1);
      else if (down.includes(kind)) held.set(what, Math.max(0, level - 1));
    }
    const left = [...held.values()].some((level) => level > 0);
    if (left && ends > 0 && ended) add("leaked-level", site);
  }
  return counts;
}

it("the ledger says of every section what brute force says", () => {
  const seen = new Map<string, number>();
  for (let seed = 1; seed <= 500; seed++) {
    const writer = randomLedger(seed);
    const expected = [...ledgerOracle(eventsOf(writer.batches))]
      .filter(([key]) => !key.startsWith("end-without-begin"))
      .map(([key, count]) => `${key.split(" ")[0]} x${count}`)
      .sort();
    const rules = ["unfinished-drain", "leaked-level"];
    const engine = found(writer, rules).map((line) => line.replace(/ .* /, " "));
    expect(engine.sort(), `seed ${seed}`).toEqual(expected);
    const tooMany = [...ledgerOracle(eventsOf(writer.batches))]
      .filter(([key]) => key.startsWith("end-without-begin"))
      .reduce((sum, [, count]) => sum + count, 0);
    const said = found(writer, ["end-without-begin"])
      .map((line) => Number(line.split(" x").at(-1)))
      .reduce((sum, count) => sum + count, 0);
    expect(said, `seed ${seed}`).toBe(tooMany);
    for (const line of [...expected, ...(tooMany > 0 ? ["end-without-begin"] : [])])
      seen.set(line.split(" ")[0] ?? "", (seen.get(line.split(" ")[0] ?? "") ?? 0) + 1);
  }
  for (const rule of ["unfinished-drain", "leaked-level", "end-without-begin"])
    expect(seen.get(rule) ?? 0, rule).toBeGreaterThan(20);
});

// ---- The order of locks ----------------------------------------------------------------------------------------------

const LOCKS = 4;
const CONTEXTS = 3;

/** Three threads take and release four mutexes, one thread at a time holding each. */
function randomLocks(seed: number): BatchWriter {
  const prng = new Prng(seed);
  const writer = new BatchWriter();
  const holder: number[] = new Array<number>(LOCKS + 1).fill(-1);
  for (let step = 0; step < 24; step++) {
    const ctx = prng.below(CONTEXTS);
    const lock = 1 + prng.below(LOCKS);
    if (holder[lock] === -1) {
      holder[lock] = ctx;
      writer.push(Ev.lock_acquire, ctx, 0, lock, LockKindOf.mutex, 1);
    } else if (holder[lock] === ctx) {
      holder[lock] = -1;
      writer.push(Ev.lock_release, ctx, 0, lock, LockKindOf.mutex, 0);
    }
  }
  return writer;
}

interface Taken {
  readonly ctx: number;
  readonly lock: number;
  readonly held: readonly number[];
}

/** Every circle of locks that some of the takings make: all sequences of at most four are tried. */
function lockOracle(events: readonly Event[]): string[] {
  const held = new Map<number, number[]>();
  const takings: Taken[] = [];
  for (const { kind, ctx, args } of events) {
    const [lock = 0] = args;
    const own = held.get(ctx) ?? [];
    if (kind === Ev.lock_acquire) {
      if (own.length > 0) takings.push({ ctx, lock, held: own });
      held.set(ctx, [...own, lock]);
    } else held.set(ctx, own.toSpliced(own.lastIndexOf(lock), 1));
  }
  const circles = new Set<string>();
  const extend = (path: readonly Taken[], locks: readonly number[]): void => {
    for (const next of takings) {
      const from = locks[locks.length - 1] ?? 0;
      if (!next.held.includes(from)) continue;
      const meets = path.every(
        (other) => other.ctx !== next.ctx && !other.held.some((lock) => next.held.includes(lock)),
      );
      if (!meets) continue;
      if (next.lock === locks[0]) circles.add(locks.join(" "));
      else if (!locks.includes(next.lock) && path.length < 3)
        extend([...path, next], [...locks, next.lock]);
    }
  };
  for (let lock = 1; lock <= LOCKS; lock++) extend([], [lock]);
  // Each circle is found from every lock in it: keep the one that begins with the smallest.
  return [...circles].filter((text) => {
    const locks = text.split(" ").map(Number);
    return locks[0] === Math.min(...locks);
  });
}

it("the circles of locks are those of brute force", () => {
  let circles = 0;
  for (let seed = 1; seed <= 500; seed++) {
    const writer = randomLocks(seed);
    const expected = lockOracle(eventsOf(writer.batches)).sort();
    const engine = found(writer, ["lock-order-cycle"]).map((line) => {
      const locks = [...line.matchAll(/lock (\d+)/g)].map(([, id]) => id);
      return locks.slice(0, -1).join(" ");
    });
    expect(engine.sort(), `seed ${seed}`).toEqual(expected);
    circles += expected.length;
  }
  expect(circles).toBeGreaterThan(60);
});
