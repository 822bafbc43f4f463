// Events of QMP: every monitor that has negotiated gets them, in the order in which they happened.
//
// Jobs and requests tell of events in whatever thread they run in, monitors belong to main. So an event from elsewhere waits in
// a queue, under monitor_lock, for a bottom half of main's; whatever main has to say is said after what waits.

import { type BlkEvent, blkEventListeners } from "#core/backend";
import { must, type VirtualNs } from "#core/base";
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
  type Timer,
  timerDel,
  timerMod,
  timerNew,
} from "#core/sched";
import { EVENT_RATE_NS, type EventName, LIMITED_EVENTS } from "./event-types.ts";
import type { Sendable } from "./qmp/json-value.ts";
import { monitorEvent, type QmpEvent } from "./qmp/monitor.ts";
import type { Daemon } from "./state.ts";

/** An event that has its name from the table. */
interface DaemonEvent extends QmpEvent {
  readonly event: EventName;
}

/** Events on their way to main, oldest first, protected by `lock` (C: monitor_lock); and those that were too many. */
export class EventQueue {
  readonly lock = new QemuMutex("monitor_lock");
  readonly waiting: DaemonEvent[] = [];
  /** Limited events that were sent a moment ago, by what their limit counts. Main's alone. */
  readonly limited = new Map<string, LimitedEvent>();
}

/** C: MonitorQAPIEventState. */
interface LimitedEvent {
  /** Armed for when the next may be sent. */
  readonly timer: Timer;
  /** The last that came since. */
  delayed: DaemonEvent | null;
}

/** qapi_event_emit: tell all monitors. Any thread. */
export function emitEvent(daemon: Daemon, event: EventName, data: Sendable): void {
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
  for (const event of events) queueEvent(daemon, event);
}

/**
 * monitor_qapi_event_queue_no_reenter (monitor/monitor.c:352): of events with a limit, the first is sent at once, and then the last of
 * each interval at its end.
 */
function queueEvent(daemon: Daemon, event: DaemonEvent): void {
  const by = LIMITED_EVENTS.get(event.event);
  if (by === undefined) {
    sendEvent(daemon, event);
    return;
  }
  const { limited } = daemon.events;
  const members = event.data as Readonly<Record<string, Sendable>>;
  const key = by === null ? event.event : `${event.event} ${members[by]}`;
  const state = limited.get(key);
  if (state !== undefined) {
    state.delayed = event;
    return;
  }
  sendEvent(daemon, event);
  const timer = timerNew(machine.mainContext, () => {
    limitIsOver(daemon, key);
    return undefined;
  });
  limited.set(key, { timer, delayed: null });
  armLimit(timer);
}

/** monitor_qapi_event_handler: what was held back is sent now. */
function limitIsOver(daemon: Daemon, key: string): void {
  const { limited } = daemon.events;
  const state = must(limited.get(key), "a limit lasts until its timer says so");
  if (state.delayed === null) {
    limited.delete(key);
    return;
  }
  sendEvent(daemon, state.delayed);
  state.delayed = null;
  armLimit(state.timer);
}

function armLimit(timer: Timer): void {
  timerMod(timer, (clockNs() + EVENT_RATE_NS) as VirtualNs);
}

/** The daemon ends: what was held back is sent. Main. */
export function flushEvents(daemon: Daemon): void {
  const { limited } = daemon.events;
  for (const { timer, delayed } of limited.values()) {
    timerDel(timer);
    if (delayed !== null) sendEvent(daemon, delayed);
  }
  limited.clear();
}

function sendEvent(daemon: Daemon, event: DaemonEvent): void {
  daemon.onEvent(event.event, event.data);
  for (const monitor of daemon.monitors) monitorEvent(monitor, event);
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
    // What stops a machine: there is none here.
    if (event.event !== "STOP") emitEvent(daemon, event.event, dataOf(event));
    return undefined;
  });
  driverEventListeners().push((event) => {
    if (event.event === "print") daemon.print(event.line);
    else if (event.event === "warn") daemon.warn(event.line);
    else if (event.event === "fatal") daemon.fatal(event.line);
    else emitEvent(daemon, event.event, driverData(event));
    return undefined;
  });
}

/** The members of an event of a BlockBackend. */
function dataOf(event: Exclude<BlkEvent, { readonly event: "STOP" }>): Sendable {
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
  }
}

function driverData(event: Exclude<DriverEvent, { readonly line: string }>): Sendable {
  if (event.event === "BLOCK_IMAGE_CORRUPTED") {
    const { device, nodeName, msg, range, fatal } = event;
    const at = { offset: range?.offset, size: range?.bytes };
    return { device, "node-name": nodeName === "" ? undefined : nodeName, msg, ...at, fatal };
  }
  const range = { "sector-num": event.sectorNum, "sectors-count": event.sectorsCount };
  if (event.event === "QUORUM_FAILURE") return { reference: event.reference, ...range };
  const error = event.error === null ? {} : { error: event.error };
  return { type: event.type, ...error, "node-name": event.nodeName, ...range };
}
