// What may be said of an iothread: how long it looks for work before it sleeps, and of how many threads and requests it makes use.
//
// Contexts share a thread here, so the process looks for work as the iothread does that looks longest (--poll-max-ns, if that is more).
// The other three have nothing to change: threads for files are Node's (UV_THREADPOOL_SIZE), and there is no batch of requests. They
// are kept, judged and told as in QEMU. Differs from QEMU: poll-max-ns is 0, not 32768, where nobody says it.

import { EINVAL } from "#core/base";
import { BlockError } from "#core/graph";
import { int64, optional } from "../qmp/schema.ts";

/** The order in which QEMU looks at them (QAPI: EventLoopBaseProperties, IothreadProperties). */
export const IOTHREAD_PARAMS = [
  "aio-max-batch",
  "thread-pool-min",
  "thread-pool-max",
  "poll-max-ns",
  "poll-grow",
  "poll-shrink",
] as const;
export type IothreadParam = (typeof IOTHREAD_PARAMS)[number];
export type IothreadParams = Record<IothreadParam, number>;

export const iothreadMembers = {
  "aio-max-batch": optional(int64),
  "thread-pool-min": optional(int64),
  "thread-pool-max": optional(int64),
  "poll-max-ns": optional(int64),
  "poll-grow": optional(int64),
  "poll-shrink": optional(int64),
} as const;

/** C: INT_MAX. */
const INT_MAX = 2 ** 31 - 1;
/** C: THREAD_POOL_MAX_THREADS_DEFAULT. */
const THREADS_MAX = 64;

/** Those of a new iothread; BlockError. */
export function newIothreadParams(given: Readonly<Partial<IothreadParams>>): IothreadParams {
  const params: IothreadParams = {
    ...{ "aio-max-batch": 0, "thread-pool-min": 0, "thread-pool-max": THREADS_MAX },
    ...{ "poll-max-ns": 0, "poll-grow": 0, "poll-shrink": 0 },
  };
  for (const name of IOTHREAD_PARAMS) {
    const value = given[name];
    if (value !== undefined) params[name] = inRange(name, value);
  }
  checkThreads(params);
  return params;
}

/** Change one; BlockError. What the threads cannot be is refused, and remembered, as in QEMU. */
export function setIothreadParam(params: IothreadParams, name: IothreadParam, value: number): void {
  params[name] = inRange(name, value);
  if (name.startsWith("thread-pool")) checkThreads(params);
}

function inRange(name: IothreadParam, value: number): number {
  if (value >= 0) return value;
  throw new BlockError(EINVAL, `${name} value must be in range [0, ${2n ** 63n - 1n}]`);
}

/** aio_context_set_thread_pool_params (util/async.c). */
function checkThreads({ "thread-pool-min": min, "thread-pool-max": max }: IothreadParams): void {
  if (min > max || max === 0 || min > INT_MAX || max > INT_MAX)
    throw new BlockError(EINVAL, "bad thread-pool-min/thread-pool-max values");
}
