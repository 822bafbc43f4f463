// The three colours of a function (design D2).
//
// `Co<T>` is a coroutine: when it yields, control returns to whoever entered it. `Polls<T>` is thread level: it may run a
// nested event loop, and when it yields its whole context stops until the scheduler picks it again. Anything else runs
// straight through, and what it asserts at its start still holds at its end. The two generators yield different types, so
// that `yield*` from one into the other is a compile error; a coroutine reaches a `Polls` through `coRunOutside` alone.

import { assert } from "../base/index.ts";

declare const coStop: unique symbol;
declare const pollsStop: unique symbol;

/** What a coroutine yields. */
export type CoStop = 0 & { readonly [coStop]: true };
/** What a thread yields: why its step ended. */
export type PollsStop = (1 | 2) & { readonly [pollsStop]: true };

/** A coroutine (C: coroutine_fn). Does nothing unless it stands under `yield*`. */
export type Co<T> = Generator<CoStop, T, void>;
/** Thread-level code that may poll (AIO_WAIT_WHILE, aio_poll, a blocking lock). Does nothing unless under `yield*`. */
export type Polls<T> = Generator<PollsStop, T, void>;

/** What `settled` returns: over before it began. */
class Settled implements Iterator<never, unknown, void> {
  value: unknown = undefined;
  /** Whether nobody has taken the value yet. */
  waits = false;

  next(): IteratorReturnResult<unknown> {
    assert(this.waits, "the result of a function that did not wait is taken once");
    this.waits = false;
    return { done: true, value: this.value };
  }

  [Symbol.iterator](): this {
    return this;
  }
}

const SETTLED = new Settled();

/**
 * The result of a coroutine function that did not have to wait: so one whose answer is nearly always there is an ordinary function,
 * which makes a generator when it must, at a fifth of the cost of always making one. There is one for all, so the call stands
 * under `yield*`, directly, or is returned to one that does. Common.
 */
export function settled<T>(value: T): Co<T> {
  assert(
    !SETTLED.waits,
    "a coroutine function is called under `yield*`, which takes its result at once",
  );
  SETTLED.value = value;
  SETTLED.waits = true;
  return SETTLED as unknown as Co<T>;
}

/** Whether `co` came from `settled`: then it is no body of a coroutine. Common. */
export function isSettled(co: Co<unknown>): boolean {
  return (co as unknown) === SETTLED;
}

/**
 * What `then` makes of the result of `co`, which has just been called: at once when it is settled, else in a generator. So a function whose
 * callee need not wait makes no generator either. Common.
 */
export function coThen<T, U>(co: Co<T>, then: (value: T) => U): Co<U> {
  return isSettled(co) ? settled(then(co.next().value as T)) : thenLater(co, then);
}

function* thenLater<T, U>(co: Co<T>, then: (value: T) => U): Co<U> {
  return then(yield* co);
}

/** As coThen, where `then` is a coroutine function too. Common. */
export function coChain<T, U>(co: Co<T>, then: (value: T) => Co<U>): Co<U> {
  return isSettled(co) ? then(co.next().value as T) : chainLater(co, then);
}

function* chainLater<T, U>(co: Co<T>, then: (value: T) => Co<U>): Co<U> {
  return yield* then(yield* co);
}

/** What `coLater` returns. */
class Later implements Iterator<CoStop, void, void> {
  readonly #begin: () => Co<unknown>;
  readonly #end: () => void;
  #co: Co<unknown> | null = null;

  constructor(begin: () => Co<unknown>, end: () => void) {
    this.#begin = begin;
    this.#end = end;
  }

  next(): IteratorResult<CoStop, void> {
    this.#co ??= this.#begin();
    const stop = this.#co.next();
    if (stop.done !== true) return stop;
    this.#end();
    return { done: true, value: undefined };
  }

  [Symbol.iterator](): this {
    return this;
  }
}

/**
 * The body of a coroutine that runs `begin` and then `end`, and is no generator itself: where `begin` need not wait, there is none at
 * all. Common.
 */
export function coLater(begin: () => Co<unknown>, end: () => void): Co<void> {
  return new Later(begin, end) as unknown as Co<void>;
}

export const CO_STOP = 0 as CoStop;
/** The step ends; the context can go on at once. */
export const STEP_END = 1 as PollsStop;
/** The step ends; the context sleeps until its `wakeCondition` holds. */
export const STEP_BLOCKED = 2 as PollsStop;

/** A handler of a bottom half, timer or fd: runs straight through (undefined) or polls. A `() => void` would silently take a generator. */
export type Handler = () => undefined | Polls<void>;
/** A handler that must not poll. */
export type StraightHandler = () => undefined;
