// What prediction has to find, by brute force: every correct reordering of a small trace is walked, event by event, and pairs of
// conflicting accesses that can both come next are races. Shares no code with the search: no cuts, no closures.

import { Prng } from "#core/base";
import { type AbstractTrace, newBlock, StdOp } from "#traces/std";

/** Pairs of events that race, as "earlier later". */
export type Races = ReadonlySet<string>;

/** The pairs that some correct reordering shows; `keepingOrder`: one that keeps the order of the acquires of each lock. */
export function racesByEnumeration(trace: AbstractTrace, keepingOrder: boolean): Races {
  return new Enumeration(trace, keepingOrder).races;
}

/** What an event needs in any order, and what it does. */
interface Step {
  readonly event: number;
  readonly op: number;
  readonly operand: number;
  /** The write that it read from, plus one; 0 for none. */
  readonly sees: number;
  /** For a join: how many events of the thread must be done. */
  readonly joins: number;
}

class Enumeration {
  readonly races = new Set<string>();
  readonly #keepingOrder: boolean;
  readonly #threads: Step[][];
  /** Who is forked, by thread: by which thread, at which of its events. */
  readonly #forkedBy = new Map<number, { readonly thread: number; readonly place: number }>();
  /** Locks held by a thread that has done so many events, and the newest acquire of each lock that it has done. */
  readonly #held: number[][] = [];
  readonly #newest: number[][][] = [];
  readonly #done: number[];
  readonly #lastWrite: number[];
  readonly #seen = new Set<string>();

  constructor({ events, names }: AbstractTrace, keepingOrder: boolean) {
    this.#keepingOrder = keepingOrder;
    this.#threads = Array.from({ length: names.threads.count }, () => []);
    this.#done = this.#threads.map(() => 0);
    this.#lastWrite = new Array<number>(names.variables.count).fill(0);
    const written = [...this.#lastWrite];
    for (let event = 0; event < events.count; event++) {
      const [op, thread, operand] = [
        events.ops[event]!,
        events.threads[event]!,
        events.operands[event]!,
      ];
      const steps = this.#threads[thread]!;
      const joins = op === StdOp.join ? this.#threads[operand]!.length : 0;
      steps.push({ event, op, operand, sees: op === StdOp.read ? written[operand]! : 0, joins });
      if (op === StdOp.write) written[operand] = event + 1;
      if (op === StdOp.fork) this.#forkedBy.set(operand, { thread, place: steps.length });
    }
    for (const steps of this.#threads) this.#followLocks(steps, names.locks.count);
    this.#walk();
  }

  #followLocks(steps: readonly Step[], locks: number): void {
    const depth = new Array<number>(locks).fill(0);
    const newest = new Array<number>(locks).fill(-1);
    const held = [0];
    const acquired = [[...newest]];
    for (const { event, op, operand } of steps) {
      if (op === StdOp.acquire && ++depth[operand]! === 1) newest[operand] = event;
      if (op === StdOp.release) depth[operand]!--;
      held.push(depth.reduce((mask, count, lock) => (count > 0 ? mask | (1 << lock) : mask), 0));
      acquired.push([...newest]);
    }
    this.#held.push(held);
    this.#newest.push(acquired);
  }

  #walk(): void {
    const key = `${this.#done.join()} ${this.#lastWrite.join()}`;
    if (this.#seen.has(key)) return;
    this.#seen.add(key);
    const next = this.#threads.map((steps, thread) =>
      this.#hasStarted(thread) ? steps[this.#done[thread]!] : undefined,
    );
    next.forEach((a, i) => {
      next.forEach((b, j) => {
        if (i < j && a !== undefined && b !== undefined && areConflicting(a, b))
          this.races.add([a.event, b.event].sort((x, y) => x - y).join(" "));
      });
    });
    next.forEach((step, thread) => {
      if (step === undefined || !this.#canRun(step, thread)) return;
      const before = this.#lastWrite[step.operand];
      if (step.op === StdOp.write) this.#lastWrite[step.operand] = step.event + 1;
      this.#done[thread]!++;
      this.#walk();
      this.#done[thread]!--;
      if (step.op === StdOp.write) this.#lastWrite[step.operand] = before!;
    });
  }

  #hasStarted(thread: number): boolean {
    const fork = this.#forkedBy.get(thread);
    return fork === undefined || this.#done[fork.thread]! >= fork.place;
  }

  #canRun({ event, op, operand, sees, joins }: Step, thread: number): boolean {
    if (op === StdOp.read) return this.#lastWrite[operand] === sees;
    if (op === StdOp.join) return this.#hasStarted(operand) && this.#done[operand]! >= joins;
    if (op !== StdOp.acquire) return true;
    const isMine = ((this.#held[thread]![this.#done[thread]!]! >> operand) & 1) === 1;
    return (
      isMine ||
      this.#done.every((done, other) => {
        if (((this.#held[other]![done]! >> operand) & 1) === 1) return false;
        return !this.#keepingOrder || this.#newest[other]![done]![operand]! < event;
      })
    );
  }
}

function areConflicting(a: Step, b: Step): boolean {
  const isAccess = ({ op }: Step) => op === StdOp.read || op === StdOp.write;
  return (
    isAccess(a) &&
    isAccess(b) &&
    a.operand === b.operand &&
    (a.op === StdOp.write || b.op === StdOp.write)
  );
}

/**
 * The optimistic sync-reversal races by their definition: the set of events is the least one that has what both accesses need
 * and each release that needs neither; at most one section of each lock stays open; and the order of what conflicts, of closed
 * sections as recorded, and of open ones last, has no cycle. By sets and a full relation.
 */
export function racesByReversal(trace: AbstractTrace): Races {
  const { events } = trace;
  const needs = neededBy(trace);
  const races = new Set<string>();
  for (let second = 0; second < events.count; second++)
    for (let first = 0; first < second; first++)
      if (isConflict(trace, first, second) && isReversalRace(trace, needs, first, second))
        races.add(`${first} ${second}`);
  return races;
}

/** Whether two events are accesses of one variable by two threads, one of them a write. */
export function isConflict({ events }: AbstractTrace, a: number, b: number): boolean {
  const ops = [events.ops[a]!, events.ops[b]!];
  return (
    ops.every((op) => op === StdOp.read || op === StdOp.write) &&
    ops.includes(StdOp.write) &&
    events.operands[a] === events.operands[b] &&
    events.threads[a] !== events.threads[b]
  );
}

/** For each event all that it needs whatever the schedule, without itself. `direct` leaves out the write that itself reads from. */
function neededBy(trace: AbstractTrace): { all: Set<number>[]; direct: Set<number>[] } {
  const { events } = trace;
  const all: Set<number>[] = [];
  const direct: Set<number>[] = [];
  for (let i = 0; i < events.count; i++) {
    const [op, thread, operand] = [events.ops[i]!, events.threads[i]!, events.operands[i]!];
    const last = (test: (j: number) => boolean) => {
      for (let j = i - 1; j >= 0; j--) if (test(j)) return [j];
      return [];
    };
    const isFork = (of: number) => (j: number) =>
      events.ops[j] === StdOp.fork && events.operands[j] === of;
    const own = [...last((j) => events.threads[j] === thread), ...last(isFork(thread))];
    if (op === StdOp.join)
      own.push(...last((j) => events.threads[j] === operand), ...last(isFork(operand)));
    const withRead = [...own];
    if (op === StdOp.read)
      withRead.push(
        ...last((j) => events.ops[j] === StdOp.write && events.operands[j] === operand),
      );
    const closed = (some: readonly number[]) => new Set(some.flatMap((j) => [j, ...all[j]!]));
    direct.push(closed(own));
    all.push(closed(withRead));
  }
  return { all, direct };
}

function isReversalRace(
  trace: AbstractTrace,
  needs: { all: Set<number>[]; direct: Set<number>[] },
  first: number,
  second: number,
): boolean {
  const sections = sectionsOf(trace);
  const inside = new Set([...needs.direct[first]!, ...needs.direct[second]!]);
  if (inside.has(first) || inside.has(second)) return false;
  for (let size = -1; size !== inside.size; ) {
    size = inside.size;
    for (const { acquire, release } of sections) {
      if (!inside.has(acquire) || release < 0) continue;
      const closing = [release, ...needs.all[release]!];
      if (!closing.includes(first) && !closing.includes(second))
        for (const one of closing) inside.add(one);
    }
  }
  const mine = sections.filter(({ acquire }) => inside.has(acquire));
  const order: [number, number][] = [];
  for (const a of mine)
    for (const b of mine) {
      if (a === b || a.lock !== b.lock) continue;
      const [isOpenA, isOpenB] = [!inside.has(a.release), !inside.has(b.release)];
      if (isOpenA && isOpenB) return false;
      if (!isOpenA && (isOpenB || a.acquire < b.acquire)) order.push([a.release, b.acquire]);
    }
  return !hasCycle(trace, [...inside], needs.all, order);
}

function sectionsOf({ events }: AbstractTrace) {
  const sections: {
    lock: number;
    thread: number;
    acquire: number;
    release: number;
    depth: number;
  }[] = [];
  for (let i = 0; i < events.count; i++) {
    const [op, thread, lock] = [events.ops[i]!, events.threads[i]!, events.operands[i]!];
    if (op !== StdOp.acquire && op !== StdOp.release) continue;
    const open = sections.find(
      (one) => one.thread === thread && one.lock === lock && one.release < 0,
    );
    if (op === StdOp.acquire && open === undefined)
      sections.push({ lock, thread, acquire: i, release: -1, depth: 1 });
    else if (open !== undefined) {
      open.depth += op === StdOp.acquire ? 1 : -1;
      if (open.depth === 0) open.release = i;
    }
  }
  return sections;
}

function hasCycle(
  trace: AbstractTrace,
  inside: readonly number[],
  needs: readonly Set<number>[],
  order: readonly (readonly [number, number])[],
): boolean {
  const after = new Map(inside.map((one) => [one, new Set<number>()]));
  for (const b of inside)
    for (const a of inside)
      if (needs[b]!.has(a) || (a < b && isConflict(trace, a, b))) after.get(a)!.add(b);
  for (const [a, b] of order) after.get(a)!.add(b);
  for (const through of inside)
    for (const from of inside)
      if (after.get(from)!.has(through))
        for (const to of after.get(through)!) after.get(from)!.add(to);
  return inside.some((one) => after.get(one)!.has(one));
}

/** A small random trace that a program can make, full of locks: two to four threads, also forked and joined. */
export function smallTrace(seed: number, options: { readonly locks?: number } = {}): AbstractTrace {
  const random = new Prng(seed);
  const threads = 2 + random.below(3);
  const locks = options.locks ?? 1 + random.below(3);
  const variables = 1 + random.below(3);
  const length = 6 + random.below(9);
  const events = newBlock(length);
  const running = Array.from({ length: threads }, (_, i) => i);
  const waiting = random.chance(1, 3) ? [running.pop()!] : [];
  const ended: number[] = [];
  const depth = Array.from({ length: threads }, () => new Array<number>(locks).fill(0));
  const emit = (thread: number, op: number, operand: number) => {
    events.ops[events.count] = op;
    events.threads[events.count] = thread;
    events.operands[events.count] = operand;
    events.locations[events.count] = events.count + 1;
    events.count++;
  };
  while (events.count < length) {
    const thread = random.pick(running);
    const own = depth[thread]!;
    const kind = random.below(20);
    if (kind < 9)
      emit(thread, random.chance(1, 2) ? StdOp.read : StdOp.write, random.below(variables));
    else if (kind < 18 && locks > 0) {
      const lock = random.below(locks);
      if (own[lock]! > 0 && !random.chance(1, 8)) {
        own[lock]!--;
        emit(thread, StdOp.release, lock);
      } else if (depth.every((other, i) => i === thread || other[lock] === 0)) {
        own[lock]!++;
        emit(thread, StdOp.acquire, lock);
      }
    } else if (kind === 18 && waiting.length > 0) {
      const child = waiting.pop()!;
      running.push(child);
      emit(thread, StdOp.fork, child);
    } else if (kind === 19 && ended.length > 0) emit(thread, StdOp.join, ended[0]!);
    else if (kind === 19 && running.length > 2 && own.every((one) => one === 0)) {
      // Nobody joins a thread that did nothing at all.
      if (!events.threads.subarray(0, events.count).includes(thread)) continue;
      ended.push(thread);
      running.splice(running.indexOf(thread), 1);
    }
  }
  const table = (count: number, prefix: string) => ({
    count,
    name: (i: number) => `${prefix}${i}`,
  });
  const names = {
    threads: table(threads, "T"),
    variables: table(variables, "V"),
    locks: table(locks, "L"),
  };
  return { events, names };
}
