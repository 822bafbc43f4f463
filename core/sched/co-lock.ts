// Locks of coroutines (C: util/qemu-coroutine-lock.c): CoQueue (FIFO, no lock of its own), CoMutex (hand-off to the oldest
// waiter) and CoRwlock (FIFO-fair, with upgrade and downgrade). They yield; they never poll.

import { assert, type LockId } from "../base/index.ts";
import { Ev, LockKindOf } from "../probe/index.ts";
import { type Co, settled } from "./colours.ts";
import { aioCoWake, type Coroutine, qemuCoroutineSelf, qemuCoroutineYield } from "./coroutine.ts";
import { machine, nextId } from "./current.ts";
import { modelAssert } from "./model-assert.ts";

/** C: CoQueue. */
export class CoQueue {
  readonly entries: Coroutine[] = [];
}

/** qemu_co_queue_wait: sleep until woken; `mutex`, if given, is released meanwhile. Common. */
export function* qemuCoQueueWait(queue: CoQueue, mutex: CoMutex | null = null): Co<void> {
  queue.entries.push(qemuCoroutineSelf());
  if (mutex !== null) qemuCoMutexUnlock(mutex);
  yield* qemuCoroutineYield();
  if (mutex !== null) yield* qemuCoMutexLock(mutex);
}

/** qemu_co_queue_next: wake the oldest waiter; false when there is none. Common. */
export function qemuCoQueueNext(queue: CoQueue): boolean {
  const co = queue.entries.shift();
  if (co === undefined) return false;
  aioCoWake(co);
  return true;
}

/** qemu_co_enter_next: as qemuCoQueueNext, from outside a coroutine. */
export const qemuCoEnterNext: (queue: CoQueue) => boolean = qemuCoQueueNext;

/** qemu_co_queue_restart_all: wake all that wait now, in order. Common. */
export function qemuCoQueueRestartAll(queue: CoQueue): void {
  for (let left = queue.entries.length; left > 0; left--) qemuCoQueueNext(queue);
}

/** qemu_co_queue_empty. Common. */
export function qemuCoQueueEmpty(queue: CoQueue): boolean {
  return queue.entries.length === 0;
}

/** C: CoMutex. The id is given at the first use, so that a lock can be made outside a machine. */
export class CoMutex {
  id: LockId | null = null;
  holder: Coroutine | null = null;
  readonly waiters: Coroutine[] = [];
}

/** qemu_co_mutex_lock: take it, or wait in order of arrival. Not recursive. Common. */
export function qemuCoMutexLock(mutex: CoMutex): Co<void> {
  return qemuCoMutexTryLock(mutex) ? settled(undefined) : waitForMutex(mutex);
}

/** qemu_co_mutex_lock of a mutex that is free, which is taken then; false when it is not. Common. */
export function qemuCoMutexTryLock(mutex: CoMutex): boolean {
  const self = qemuCoroutineSelf();
  modelAssert(mutex.holder !== self, "a CoMutex is not recursive");
  if (mutex.holder !== null) return false;
  mutex.holder = self;
  mutexTaken(mutex, self);
  return true;
}

function* waitForMutex(mutex: CoMutex): Co<void> {
  const self = qemuCoroutineSelf();
  mutex.waiters.push(self);
  yield* qemuCoroutineYield();
  assert(mutex.holder === self, "a CoMutex is handed to who is woken");
  mutexTaken(mutex, self);
}

function mutexTaken(mutex: CoMutex, self: Coroutine): void {
  self.locksHeld++;
  machine.probe.emit(Ev.lock_acquire, lockId(mutex, LockKindOf.co_mutex), LockKindOf.co_mutex, 1);
}

/** qemu_co_mutex_unlock: give it to the oldest waiter, or free it. Common. */
export function qemuCoMutexUnlock(mutex: CoMutex): void {
  const self = qemuCoroutineSelf();
  modelAssert(mutex.holder === self, "a CoMutex is released by its holder");
  modelAssert(self.locksHeld > 0, "a lock is released once");
  self.locksHeld--;
  machine.probe.emit(Ev.lock_release, lockId(mutex, LockKindOf.co_mutex), LockKindOf.co_mutex, 0);
  const next = mutex.waiters.shift() ?? null;
  mutex.holder = next;
  if (next !== null) aioCoWake(next);
}

interface RwTicket {
  readonly co: Coroutine;
  readonly read: boolean;
}

/** C: CoRwlock. `owners` is the number of readers, or -1 with a writer. */
export class CoRwlock {
  id: LockId | null = null;
  owners = 0;
  readonly tickets: RwTicket[] = [];
}

/** qemu_co_rwlock_rdlock: readers share, but queue behind a writer that waits. Common. */
export function* qemuCoRwlockRdlock(lock: CoRwlock): Co<void> {
  if (lock.owners === 0 || (lock.owners > 0 && lock.tickets.length === 0)) {
    lock.owners++;
  } else {
    yield* waitForTurn(lock, true);
    wakeOneMore(lock);
  }
  taken(lock, LockKindOf.co_rwlock_read);
}

/** qemu_co_rwlock_wrlock: alone. Common. */
export function* qemuCoRwlockWrlock(lock: CoRwlock): Co<void> {
  if (lock.owners === 0) lock.owners = -1;
  else yield* waitForTurn(lock, false);
  taken(lock, LockKindOf.co_rwlock_write);
}

/** qemu_co_rwlock_unlock: of either kind. Common. */
export function qemuCoRwlockUnlock(lock: CoRwlock): void {
  const kind = lock.owners > 0 ? LockKindOf.co_rwlock_read : LockKindOf.co_rwlock_write;
  modelAssert(lock.owners !== 0, "a lock is released by a holder");
  released(lock, kind);
  lock.owners = lock.owners > 0 ? lock.owners - 1 : 0;
  wakeOneMore(lock);
}

/** qemu_co_rwlock_downgrade: from writer to reader without letting a writer in between. Common. */
export function qemuCoRwlockDowngrade(lock: CoRwlock): void {
  modelAssert(lock.owners === -1, "the caller is the writer");
  released(lock, LockKindOf.co_rwlock_write);
  lock.owners = 1;
  taken(lock, LockKindOf.co_rwlock_read);
  wakeOneMore(lock);
}

/** qemu_co_rwlock_upgrade: from reader to writer; queues behind a writer that waits already. Common. */
export function* qemuCoRwlockUpgrade(lock: CoRwlock): Co<void> {
  modelAssert(lock.owners > 0, "the caller is a reader");
  released(lock, LockKindOf.co_rwlock_read);
  if (lock.owners === 1 && lock.tickets.length === 0) {
    lock.owners = -1;
  } else {
    lock.owners--;
    lock.tickets.push({ co: qemuCoroutineSelf(), read: false });
    wakeOneMore(lock, qemuCoroutineSelf());
    yield* qemuCoroutineYield();
    assert(lock.owners === -1, "an upgraded reader is the writer");
  }
  taken(lock, LockKindOf.co_rwlock_write);
}

function* waitForTurn(lock: CoRwlock, read: boolean): Co<void> {
  lock.tickets.push({ co: qemuCoroutineSelf(), read });
  yield* qemuCoroutineYield();
  assert(read ? lock.owners >= 1 : lock.owners === -1, "who is woken holds the lock");
}

/** Give the lock to the oldest ticket if it can have it. An upgrade may meet its own ticket: then nobody must be woken. */
function wakeOneMore(lock: CoRwlock, self: Coroutine | null = null): void {
  const ticket = lock.tickets[0];
  if (ticket === undefined) return;
  if (ticket.read ? lock.owners < 0 : lock.owners !== 0) return;
  assert(ticket.co !== self, "an upgrade that could go on at once does not queue");
  lock.tickets.shift();
  lock.owners = ticket.read ? lock.owners + 1 : -1;
  aioCoWake(ticket.co);
}

function taken(lock: CoRwlock, kind: number): void {
  qemuCoroutineSelf().locksHeld++;
  machine.probe.emit(Ev.lock_acquire, lockId(lock, kind), kind, 1);
}

function released(lock: CoRwlock, kind: number): void {
  qemuCoroutineSelf().locksHeld--;
  machine.probe.emit(Ev.lock_release, lockId(lock, kind), kind, 0);
}

function lockId(lock: CoMutex | CoRwlock, kind: number): LockId {
  if (lock.id === null) {
    lock.id = nextId(machine, "lock") as LockId;
    machine.probe.emit(Ev.lock_new, lock.id, kind, 0);
  }
  return lock.id;
}
