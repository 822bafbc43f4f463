// QemuEvent (C: util/qemu-thread-posix.c): one thread says that something has happened, another blocks until it has. Who
// blocks does not poll: its loop stands still, unlike in AIO_WAIT_WHILE.

import { assert, type SiteId, type WaitId } from "../base/index.ts";
import { Ev } from "../probe/index.ts";
import { type Polls, STEP_BLOCKED } from "./colours.ts";
import { machine, nextId } from "./current.ts";
import { modelAssert } from "./model-assert.ts";

/** C: QemuEvent. A new one is not set. */
export class QemuEvent {
  isSet = false;
}

/** qemu_event_set: it has happened; whoever waits goes on. Common. */
export function qemuEventSet(event: QemuEvent): void {
  assert(machine.currentContext !== null, "events are set inside a step");
  event.isSet = true;
  machine.probe.emit(Ev.kick, 0);
}

/** qemu_event_reset: it has not happened yet. Common. */
export function qemuEventReset(event: QemuEvent): void {
  assert(machine.currentContext !== null, "events are reset inside a step");
  event.isSet = false;
}

/** qemu_event_wait: block the running thread, its event loop included, until `event` is set. Common. Polls. */
export function* qemuEventWait(event: QemuEvent, site: SiteId): Polls<void> {
  const me = machine.currentContext;
  assert(me !== null, "waits happen inside a step");
  modelAssert(machine.currentCoroutine === null, "!qemu_in_coroutine()");
  const { probe } = machine;
  const wait = nextId(machine, "wait") as WaitId;
  me.waitFrames.push({ site, busy: () => !event.isSet });
  probe.emit(Ev.wait_begin, wait, me.id, site);
  let waited = false;
  while (!event.isSet) {
    waited = true;
    me.wakeCondition = () => event.isSet;
    yield STEP_BLOCKED;
  }
  probe.emit(Ev.wait_end, wait, waited ? 1 : 0);
  me.waitFrames.pop();
}
