// Traces that nobody recorded: runs that were mutated, and streams in which one thing goes on without end. The analyzer
// answers each with a result or with one sentence, in bounded memory and time.

import { Prng, QuiesceError } from "#core/base";
import {
  ctxNumber,
  Ev,
  EventBatch,
  Klass,
  LAYOUTS,
  List,
  Owner,
  WORD_ARGS,
  WORDS_PER_EVENT,
  WORLD_CTX,
} from "#core/probe";
import { analyze } from "../analyze.ts";
import type { AnalyzeOptions, Clocks } from "../input.ts";
import { RandomTrace } from "./random-trace.ts";

/**
 * What the analyzer made of a trace: findings, or the sentence that refuses it. Anything else that it throws is a bug. It follows the
 * full order in one way or the other (order/full.ts).
 */
export function answerTo(
  events: () => Iterable<EventBatch>,
  clocks: Clocks,
  options: AnalyzeOptions = {},
): string {
  const again = clocks === "main" ? { again: events } : {};
  try {
    const trace = { batches: events(), ...again, sites: [], strings: [""] };
    return `${analyze(trace, options).findings.length} findings`;
  } catch (error) {
    if (error instanceof QuiesceError) return error.message;
    throw error;
  }
}

// ---- Mutations ---------------------------------------------------------------------------------------------------------

const KINDS = LAYOUTS.flatMap((layout) => (layout === undefined ? [] : [layout.id]));
const ODD = [
  0,
  1,
  2,
  255,
  256,
  4096,
  65_536,
  1 << 24,
  0x4000_0001,
  0x7fff_ffff,
  -1,
  -2,
  -(2 ** 31),
];

/** A lawful random run with a few to hundreds of its events changed, left out, doubled, exchanged, or repeated many times. */
export function mutatedRun(seed: number): EventBatch {
  const prng = new Prng(seed);
  const lawful = new RandomTrace({
    seed,
    events: 100 + prng.below(400),
    uniqueSites: prng.chance(1, 2),
    exotic: prng.chance(1, 2),
    contexts: 2 + prng.below(5),
  });
  const events = lawful.writer.batches.flatMap(wordsOf);
  for (let i = 1 + prng.below(1 << prng.below(9)); i > 0; i--) mutate(events, prng);
  const batch = new EventBatch(Math.max(1, events.length));
  for (const words of events) batch.ints.set(words, WORDS_PER_EVENT * batch.count++);
  return batch;
}

function wordsOf(batch: EventBatch): Int32Array[] {
  return Array.from({ length: batch.count }, (_, i) =>
    batch.ints.slice(i * WORDS_PER_EVENT, (i + 1) * WORDS_PER_EVENT),
  );
}

function mutate(events: Int32Array[], prng: Prng): void {
  if (events.length === 0) return;
  const at = prng.below(events.length);
  const words = events[at] as Int32Array;
  const odd = prng.chance(1, 2) ? prng.pick(ODD) : prng.below(6);
  const what = prng.below(8);
  if (what === 0) words[0] = prng.pick(KINDS) | ((words[0] as number) & ~0xff);
  else if (what === 1) words[0] = ((words[0] as number) & 0xff) | (oddContext(prng) << 8);
  else if (what === 2) words[1] = odd;
  else if (what < 5) words[WORD_ARGS + prng.below(4)] = odd;
  else if (what === 5) events.splice(at, 1 + prng.below(3));
  else if (what === 6) {
    const other = prng.below(events.length);
    events[at] = events[other] as Int32Array;
    events[other] = words;
  } else {
    const part = events.slice(at, at + 1 + prng.below(8));
    const times = prng.chance(1, 20) ? 200 : 1;
    for (let i = 0; i < times; i++) events.splice(at, 0, ...part.map((each) => each.slice()));
  }
}

function oddContext(prng: Prng): number {
  return prng.chance(1, 20) ? prng.pick([WORLD_CTX, 256, 4095, 4096, 1 << 20]) : prng.below(8);
}

// ---- One thing without end ---------------------------------------------------------------------------------------------

type Emit = (kind: number, a?: number, b?: number, c?: number, d?: number) => void;
interface Who {
  ctx: number;
  task: number;
}

/** By name: what happens in the `i`-th turn. */
export const WITHOUT_END: Readonly<Record<string, (i: number, emit: Emit, who: Who) => void>> = {
  nodes(i, emit) {
    emit(Ev.bs_new, i + 1);
    emit(Ev.list_read, List.children, i + 1, 1);
  },
  "a chain of nodes, seen at last"(i, emit, who) {
    who.ctx = 0;
    emit(Ev.bs_new, i + 2);
    emit(Ev.edge_new, i + 1, Klass.child_of_bds, i + 1);
    emit(Ev.list_set, List.edge_bs, i + 1, i + 2, 1);
    emit(Ev.list_insert, List.children, i + 1, i + 1, 1);
    if (i % 1000 !== 999) return;
    who.ctx = 1;
    emit(Ev.bs_in_flight_inc, 1, 1);
  },
  contexts(i, emit, who) {
    who.ctx = ctxNumber(i);
    emit(Ev.ctx_new, who.ctx);
    emit(Ev.list_read, List.children, 1, 1);
  },
  "contexts that hear of one another"(i, emit, who) {
    who.ctx = ctxNumber(i % 4000);
    emit(Ev.kick, 1);
    emit(Ev.wait_end, 1, 1);
    emit(Ev.bh_schedule, i + 1, 0);
  },
  "requests that never end"(i, emit, who) {
    who.ctx = 1;
    who.task = i + 1;
    emit(Ev.task_begin, i + 1);
    emit(Ev.list_read, List.children, 1, 1);
    if (i % 100 !== 0) return;
    who.ctx = who.task = 0;
    emit(Ev.list_insert, List.children, 1, 1, 1);
  },
  "coroutines that enter one another"(i, emit) {
    emit(Ev.co_create, i + 1);
    emit(Ev.co_enter, (i % 3) + 1);
  },
  "coroutines that yield for ever"(i, emit) {
    emit(Ev.co_enter, i + 1);
    emit(Ev.co_yield, i + 1);
  },
  "bottom halves and handlers that never end"(i, emit) {
    emit(Ev.bh_schedule, i + 1, 0);
    emit(Ev.bh_run, i + 1);
  },
  "operations that never end"(_, emit) {
    emit(Ev.graph_op_begin, 1);
    emit(Ev.list_insert, List.children, 1, 1, 1);
  },
  "sections that never end"(i, emit) {
    emit(Ev.drain_begin, i + 1, 1, 1, 1);
    emit(Ev.bs_quiesce, 1, i, i + 1);
    emit(Ev.list_insert, List.children, 1, 1, 1);
  },
  "ends before begins"(i, emit) {
    emit(Ev.drain_ended, i + 1);
    emit(Ev.drain_end, i + 1, 1);
    emit(Ev.drain_poll_end, i + 1);
    emit(Ev.bs_unquiesce, 1, -i, i + 1);
    emit(Ev.task_end, i + 1, i + 1);
    emit(Ev.wrapper_end, i + 1);
    emit(Ev.iter_end, List.children, 1, 1);
  },
  "counters below zero"(i, emit, who) {
    who.ctx = i % 3;
    emit(Ev.bs_in_flight_dec, (i % 50) + 1, -i);
    emit(Ev.blk_in_flight_dec, (i % 50) + 1, -i);
    emit(Ev.bs_in_flight_read, (i % 50) + 1, 0, 1);
  },
  "edges in one list"(i, emit) {
    emit(Ev.list_insert, List.children, 1, i + 1, 1);
  },
  "levels that change hands"(i, emit) {
    emit(Ev.bs_quiesce, 1, 1, 1);
    emit(Ev.quiesce_transfer, Owner.node, 1, (i % 500) + 1, ((i + 1) % 500) + 1);
  },
  "coroutines that a drainer waits for"(i, emit) {
    emit(Ev.drain_begin, 1, 1, 1, 1);
    emit(Ev.drain_poll_end, 1);
    emit(Ev.wrapper_begin, i + 1);
  },
  "a request that edits and goes on"(i, emit, who) {
    who.ctx = 1;
    who.task = 1;
    emit(Ev.list_insert, List.children, 1, 1, 1);
    emit(Ev.bs_in_flight_dec, (i % 1000) + 1, 0);
    emit(Ev.list_read, List.parents, 1, 1);
  },
  "a request with a counter for each read"(i, emit, who) {
    who.ctx = 1;
    who.task = 1;
    emit(Ev.list_read, List.children, 1, 1);
    emit(Ev.bs_in_flight_dec, i + 1, 0);
    if (i % 64 !== 0) return;
    who.ctx = who.task = 0;
    emit(Ev.list_insert, List.children, 1, 1, 1);
  },
  "requests with counters in ever new orders"(i, emit, who) {
    who.ctx = 1;
    who.task = i + 1;
    emit(Ev.list_read, List.children, 1, 1);
    for (let bit = 0; bit < 14; bit++)
      if (((i >> bit) & 1) === 1) emit(Ev.bs_in_flight_dec, bit + 1, 0);
    emit(Ev.task_end, i + 1);
  },
  "gates that one request passes"(i, emit, who) {
    who.ctx = who.task = 0;
    emit(Ev.blk_unquiesce, i + 1, 0, 0);
    who.ctx = 1;
    who.task = 1;
    emit(Ev.blk_in_flight_inc, i + 1, 1);
    emit(Ev.blk_in_flight_dec, i + 1, 1);
    emit(Ev.blk_in_flight_inc, i + 1, 1);
    emit(Ev.gate_read, i + 1, 0);
    emit(Ev.bs_in_flight_dec, 1, 0);
  },
  "sites and operations"(i, emit, who) {
    who.ctx = 0;
    emit(Ev.graph_op_begin, (i % 5000) + 1);
    emit(Ev.list_insert, List.children, 1, 1, (i % 60_000) + 1);
    emit(Ev.graph_op_end, (i % 5000) + 1);
    who.ctx = 1 + (i % 7);
    emit(Ev.list_read, List.children, 1, (i % 60_000) + 1);
  },
  "ids that meet in one place"(i, emit) {
    emit(Ev.co_create, (i + 1) << 16);
    emit(Ev.timer_arm, (i + 1) << 12);
  },
};

/** Batches of the stream called `name`, `events` events in all. */
export function* withoutEnd(name: string, events: number): Generator<EventBatch, void, void> {
  const turn = WITHOUT_END[name];
  if (turn === undefined) throw new Error(`no stream is called ${name}`);
  const batch = new EventBatch(4096 + 32);
  const who: Who = { ctx: 0, task: 0 };
  const emit: Emit = (kind, a = 0, b = 0, c = 0, d = 0) =>
    batch.push(kind, who.ctx, who.task, a | 0, b | 0, c | 0, d | 0);
  for (let i = 0, count = 0; count < events; i++) {
    turn(i, emit, who);
    if (batch.count < 4096 && count + batch.count < events) continue;
    yield batch;
    count += batch.count;
    batch.count = 0;
  }
}
