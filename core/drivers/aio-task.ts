// A few coroutines that do the parts of one request (C: block/aio_task.c), and a resource that all such parts share
// (C: util/qemu-co-shared-resource.c).

import { assert } from "../base/index.ts";
import { taskShare } from "../io/in-flight.ts";
import {
  aioCoWake,
  type Co,
  CoQueue,
  type Coroutine,
  qemuCoQueueRestartAll,
  qemuCoQueueWait,
  qemuCoroutineCreate,
  qemuCoroutineEnter,
  qemuCoroutineSelf,
  qemuCoroutineYield,
} from "../sched/index.ts";

/** C: AioTaskPool. Belongs to the coroutine that made it. */
export class AioTaskPool {
  readonly mainCo: Coroutine;
  readonly busyMax: number;
  /** The first error, or 0. */
  status = 0;
  busy = 0;
  waiting = false;

  constructor(busyMax: number) {
    assert(busyMax > 0, "somebody does the work");
    this.mainCo = qemuCoroutineSelf();
    this.busyMax = busyMax;
  }
}

/** aio_task_pool_wait_slot: until one more can begin. Common. */
export function* aioTaskPoolWaitSlot(pool: AioTaskPool): Co<void> {
  if (pool.busy === pool.busyMax) yield* waitOne(pool);
}

/** aio_task_pool_wait_all: until all are done. Common. */
export function* aioTaskPoolWaitAll(pool: AioTaskPool): Co<void> {
  while (pool.busy > 0) yield* waitOne(pool);
}

function* waitOne(pool: AioTaskPool): Co<void> {
  assert(qemuCoroutineSelf() === pool.mainCo, "who made the pool waits for it");
  pool.waiting = true;
  yield* qemuCoroutineYield();
  assert(!pool.waiting, "it is woken by one that is done");
}

/** aio_task_pool_start_task: run `task`, up to where it waits, for the caller's request; there is a slot. Common. */
export function aioTaskPoolStartTask(pool: AioTaskPool, task: () => Co<number>): void {
  assert(pool.busy < pool.busyMax, "there is a slot");
  const co = qemuCoroutineCreate(function* (): Co<void> {
    pool.busy++;
    const ret = yield* task();
    pool.busy--;
    if (ret < 0 && pool.status === 0) pool.status = ret;
    if (!pool.waiting) return;
    pool.waiting = false;
    aioCoWake(pool.mainCo);
  });
  taskShare(co);
  qemuCoroutineEnter(co);
}

/** C: SharedResource. */
export class SharedResource {
  readonly total: number;
  available: number;
  readonly queue = new CoQueue();

  constructor(total: number) {
    this.total = total;
    this.available = total;
  }
}

/** co_get_from_shres: wait until so much is left, and take it. Common. */
export function* coGetFromShres(shared: SharedResource, amount: number): Co<void> {
  assert(amount <= shared.total, "more than there is nobody gets");
  while (shared.available < amount) yield* qemuCoQueueWait(shared.queue);
  shared.available -= amount;
}

/** co_put_to_shres. Common. */
export function coPutToShres(shared: SharedResource, amount: number): void {
  shared.available += amount;
  assert(shared.available <= shared.total, "what was taken is given back once");
  qemuCoQueueRestartAll(shared.queue);
}
