// Events of QMP: every monitor that has negotiated gets them, in the order in which they happened.
//
// Jobs and requests tell of events in whatever thread they run in, monitors belong to main. So an event from elsewhere waits in
// a queue, under monitor_lock, for a bottom half of main's; whatever main has to say is said after what waits.

import { type BlkEvent, blkEventListeners } from "#core/backend";
import { type DriverEvent, driverEventListeners } from "#core/drivers";
import { writeThresholdListeners } from "#core/io";
import { type JobEvent, jobEventListeners, notifierListAdd } from "#core/jobs";
import {
  aioBhScheduleOneshot,
  clockNs,
  machine,
  QemuMutex,
  qemuMutexLock,
  qemuMutexUnlock,
} from "#core/sched";
import type { Sendable } from "./qmp/json-value.ts";
import { monitorEvent, type QmpEvent } from "./qmp/monitor.ts";
import type { Daemon } from "./state.ts";

/** Events on their way to main, oldest first. Protected by `lock` (C: monitor_lock). */
export class EventQueue {
  readonly lock = new QemuMutex("monitor_lock");
  readonly waiting: QmpEvent[] = [];
}

/** qapi_event_emit: tell all monitors. Any thread. */
export function emitEvent(daemon: Daemon, event: string, data: Sendable): void {
  const { lock, waiting } = daemon.events;
  qemuMutexLock(lock);
  waiting.push({ event, data, ns: daemon.epochNs + clockNs() });
  qemuMutexUnlock(lock);
  if (machine.currentContext === machine.mainContext) sendEvents(daemon);
  else
    aioBhScheduleOneshot(machine.mainContext, () => {
      sendEvents(daemon);
      return undefined;
    });
}

function sendEvents(daemon: Daemon): void {
  const { lock, waiting } = daemon.events;
  qemuMutexLock(lock);
  const events = waiting.splice(0);
  qemuMutexUnlock(lock);
  for (const event of events) {
    daemon.onEvent(event.event, event.data);
    for (const monitor of daemon.monitors) monitorEvent(monitor, event);
  }
}

/** From now on, what the block layer tells is told to clients. */
export function forwardEvents(daemon: Daemon): void {
  notifierListAdd(jobEventListeners(), ({ event, ...data }: JobEvent) => {
    emitEvent(daemon, event, data);
    return undefined;
  });
  writeThresholdListeners().push(({ nodeName, amountExceeded, writeThreshold }) => {
    emitEvent(daemon, "BLOCK_WRITE_THRESHOLD", {
      "node-name": nodeName,
      "amount-exceeded": amountExceeded,
      "write-threshold": writeThreshold,
    });
    return undefined;
  });
  blkEventListeners().push((event) => {
    const data = dataOf(event);
    if (data !== null) emitEvent(daemon, event.event, data);
    return undefined;
  });
  driverEventListeners().push((event) => {
    if (event.event === "print") daemon.print(event.line);
    else emitEvent(daemon, event.event, quorumData(event));
    return undefined;
  });
}

/** The members of an event of a BlockBackend; null for what stops a machine: there is none here. */
function dataOf(event: BlkEvent): Sendable {
  switch (event.event) {
    case "DEVICE_TRAY_MOVED":
      return { device: event.device, id: event.id, "tray-open": event.trayOpen };
    case "BLOCK_IO_ERROR":
      return {
        device: event.device,
        "node-name": event.nodeName ?? undefined,
        operation: event.operation,
        action: event.action,
        nospace: event.nospace ?? undefined,
        reason: event.reason,
      };
    case "STOP":
      return null;
  }
}

function quorumData(event: Exclude<DriverEvent, { readonly event: "print" }>): Sendable {
  const range = { "sector-num": event.sectorNum, "sectors-count": event.sectorsCount };
  if (event.event === "QUORUM_FAILURE") return { reference: event.reference, ...range };
  const error = event.error === null ? {} : { error: event.error };
  return { type: event.type, ...error, "node-name": event.nodeName, ...range };
}
