// Witnesses that let as much as possible run as recorded: the less changes, the better can a person follow it, and the likelier a
// scheduler can make the program do it.
//
// What comes before the earlier access, or before its thread took the locks that it holds there, need not change if the
// race is still found when only the rest is looked at.

import { type AbstractBlock, StdOp } from "#traces/std";
import { Closure } from "./closure.ts";
import type { Prediction } from "./predict.ts";
import { isSyncPreservingRace } from "./sync-preserving.ts";
import { syncReversalOrder } from "./sync-reversal.ts";
import { type Held, Window } from "./window.ts";
import type { Witness } from "./witness.ts";

/** A race found in a window: its events, the locks held where it begins, the two accesses, and the order that shows it. */
export interface FoundRace {
  readonly events: AbstractBlock;
  readonly held: readonly Held[];
  readonly first: number;
  readonly second: number;
  readonly order: readonly number[];
}

/** A witness, by places in the window; `events` and `held` are those from `witness.from` on. */
export interface ShownRace {
  readonly witness: Witness;
  readonly events: AbstractBlock;
  readonly held: readonly Held[];
  /** The first event of the earlier access's thread that has to wait. */
  readonly holdAt: number;
  /** The event of the later access's thread for which it waits; null when it is the later access itself. */
  readonly letGoAfter: number | null;
}

export function shortened(race: FoundRace, { method }: { readonly method: Prediction }): ShownRace {
  const { events, held, first, second } = race;
  for (const from of startsFor(events, first)) {
    const rest = part(events, from, second + 1);
    const heldThen = heldAt(events, held, from);
    const window = new Window(rest, heldThen);
    const order = orderOf(window, method, first - from, second - from);
    if (order === null) continue;
    return shown(
      events,
      from,
      order.map((event) => event + from),
      race,
      { rest, heldThen },
    );
  }
  return shown(events, 0, race.order, race, { rest: events, heldThen: held });
}

/** Where a shorter witness may begin: at the access, and where its thread took the locks that it holds there; latest first. */
function startsFor({ ops, threads, operands }: AbstractBlock, first: number): number[] {
  const starts = [first];
  const released = new Map<number, number>();
  for (let i = first - 1; i >= 0; i--) {
    if (threads[i] !== threads[first]) continue;
    const lock = operands[i] ?? 0;
    const pending = released.get(lock) ?? 0;
    if (ops[i] === StdOp.release) released.set(lock, pending + 1);
    else if (ops[i] === StdOp.acquire && pending > 0) released.set(lock, pending - 1);
    else if (ops[i] === StdOp.acquire) starts.push(i);
  }
  return starts;
}

function orderOf(
  window: Window,
  method: Prediction,
  first: number,
  second: number,
): readonly number[] | null {
  const closure = new Closure(window);
  if (isSyncPreservingRace(closure, first, second)) return window.eventsOf(closure.cut);
  return method === "osr" ? syncReversalOrder(window, closure, first, second) : null;
}

function shown(
  { threads, count }: AbstractBlock,
  from: number,
  order: readonly number[],
  { first, second }: FoundRace,
  { rest, heldThen }: { readonly rest: AbstractBlock; readonly heldThen: readonly Held[] },
): ShownRace {
  const isAsRecorded = order.every((event, i) => i === 0 || event > (order[i - 1] ?? event));
  // Where sections are reversed, the thread waits before it takes the first lock.
  const runs = new Set(isAsRecorded ? order : []);
  let holdAt = from;
  while (holdAt < count && (threads[holdAt] !== threads[first] || runs.has(holdAt))) holdAt++;
  const goesOn = isAsRecorded ? -1 : order.findIndex((event) => threads[event] === threads[first]);
  const before = goesOn < 0 ? order : order.slice(0, goesOn);
  const letGoAfter = before.findLast((event) => threads[event] === threads[second]) ?? null;
  const witness: Witness = { from, order, race: [first, second] };
  return { witness, events: rest, held: heldThen, holdAt, letGoAfter };
}

function part(block: AbstractBlock, from: number, to: number): AbstractBlock {
  return {
    ops: block.ops.subarray(from, to),
    threads: block.threads.subarray(from, to),
    operands: block.operands.subarray(from, to),
    locations: block.locations.subarray(from, to),
    count: to - from,
  };
}

/** The locks that are held before event `to`. */
export function heldAt(
  { ops, threads, operands }: AbstractBlock,
  held: readonly Held[],
  to: number,
): readonly Held[] {
  const depths = new Map<string, { thread: number; lock: number; depth: number }>();
  const change = (thread: number, lock: number, by: number) => {
    const key = `${thread} ${lock}`;
    const now = depths.get(key) ?? { thread, lock, depth: 0 };
    now.depth += by;
    if (now.depth > 0) depths.set(key, now);
    else depths.delete(key);
  };
  for (const { thread, lock, depth } of held) change(thread, lock, depth);
  for (let i = 0; i < to; i++) {
    if (ops[i] === StdOp.acquire) change(threads[i] ?? 0, operands[i] ?? 0, 1);
    if (ops[i] === StdOp.release) change(threads[i] ?? 0, operands[i] ?? 0, -1);
  }
  return [...depths.values()];
}
