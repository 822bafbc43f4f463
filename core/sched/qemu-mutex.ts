// A mutex of threads (C: QemuMutex) that guards a few plain statements. As steps are atomic nobody ever waits for one here, as
// long as no step ends while it is held; it exists so that the analyzer sees what orders its critical sections.

import { assert, type LockId } from "../base/index.ts";
import { Ev, LockKindOf } from "../probe/index.ts";
import type { AioContext } from "./aio-context.ts";
import { machine, nextId } from "./current.ts";

/** C: QemuMutex. The id is given at the first use, so that a lock can be made outside a machine. */
export class QemuMutex {
  readonly name: string;
  id: LockId | null = null;
  held = false;
  /** The thread that holds it; null between two steps, while a world is built. */
  holder: AioContext | null = null;

  constructor(name: string) {
    this.name = name;
  }
}

/** qemu_mutex_lock: take it. Not recursive. Common. */
export function qemuMutexLock(mutex: QemuMutex): void {
  const { probe } = machine;
  assert(!mutex.held, "a mutex is neither recursive nor held across the end of a step");
  if (mutex.id === null) {
    mutex.id = nextId(machine, "lock") as LockId;
    probe.emit(Ev.lock_new, mutex.id, LockKindOf.mutex, probe.intern(mutex.name));
  }
  mutex.held = true;
  mutex.holder = machine.currentContext;
  probe.emit(Ev.lock_acquire, mutex.id, LockKindOf.mutex, 1);
}

/** qemu_mutex_unlock: the thread that holds it lets go of it. Common. */
export function qemuMutexUnlock(mutex: QemuMutex): void {
  assert(mutex.held, "a mutex is released once");
  assert(mutex.id !== null, "a mutex was taken before");
  assert(mutex.holder === machine.currentContext, "a mutex is released by its holder");
  mutex.held = false;
  mutex.holder = null;
  machine.probe.emit(Ev.lock_release, mutex.id, LockKindOf.mutex, 0);
}
