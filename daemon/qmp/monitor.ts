// A QMP monitor on a connection: it greets, negotiates, runs commands one after the other in main, and sends events.
//
// Commands wait in a queue while one runs, eight at most: then nothing more is read until there is room (C: monitor_suspend). A
// client that asked for out-of-band execution may let commands that support it overtake the queue. Commands run at thread level,
// each in a bottom half of main's, so a command may poll while the monitor keeps reading.

import { assert, type HostHandle, must, type SiteId } from "#core/base";
import { site } from "#core/probe";
import {
  aioBhScheduleOneshot,
  aioCoEnter,
  aioWaitKick,
  type Co,
  CoQueue,
  GuestBuffer,
  hostAllocate,
  hostDecide,
  hostReveal,
  machine,
  type Polls,
  qemuCoQueueRestartAll,
  qemuCoQueueWait,
  qemuCoroutineCreate,
  socketClose,
  socketRecv,
  socketSend,
} from "#core/sched";
import {
  command,
  errorAnswer,
  idOf,
  parseRequest,
  type QmpCommands,
  type QmpRequest,
  runRequest,
} from "./dispatch.ts";
import { JsonStream, type Parsed } from "./json-stream.ts";
import { type JsonValue, jsonText, prettyJsonText, type Sendable } from "./json-value.ts";
import { enumOf, list, optional, QmpError, struct } from "./schema.ts";
import { SecretSeal, type SecretVault, sealedBytesMax } from "./secret-seal.ts";

const SITE_READ: SiteId = site("monitor_qmp_read");
const SITE_SEAL: SiteId = site("monitor_qmp_read/seal");

/** Commands that wait (C: QMP_REQ_QUEUE_LEN_MAX). */
const QUEUE_MAX = 8;
/** Bytes that are received at a time. */
const RECEIVE_BYTES = 4096;
/** Answers and events that a client has not read: one that reads nothing is not waited for. */
const UNSENT_BYTES_MAX = 16 * 1024 * 1024;

/** What a monitor needs to know of the program that it controls. */
export interface MonitorTarget<S> {
  readonly state: S;
  readonly commands: QmpCommands<S>;
  /** What `query-version` says, in the greeting. */
  readonly version: Sendable;
  /** Answers are laid out for people. */
  readonly pretty: boolean;
  /** Where the texts of secrets go, of which nothing may be revealed. */
  readonly vault: SecretVault;
}

interface Waiting {
  readonly parsed: Parsed;
}

/** C: MonitorQMP. Used in the main context alone. */
export class QmpMonitor<S> {
  readonly target: MonitorTarget<S>;
  readonly socket: HostHandle;
  /** Capabilities are negotiated: all commands are there, and events are sent. */
  isReady = false;
  oobEnabled = false;
  isClosed = false;
  /** A command runs. */
  isBusy = false;
  readonly waiting: Waiting[] = [];
  /** The reading coroutine, while the queue is full. */
  readonly room = new CoQueue();
  /** Lines that are not sent, the sending coroutine, and its bytes. */
  readonly unsent: Uint8Array[] = [];
  readonly toSend = new CoQueue();
  unsentBytes = 0;

  constructor(target: MonitorTarget<S>, socket: HostHandle) {
    this.target = target;
    this.socket = socket;
  }
}

/** QAPI: QMPCapability. */
export const capability = enumOf("oob");

/** What a client may do before it has negotiated. */
const negotiation = new Map([
  [
    "qmp_capabilities",
    command<QmpMonitor<unknown>, { readonly enable?: readonly "oob"[] }>(
      "qmp_capabilities",
      struct({ enable: optional(list(capability)) }),
      function* (monitor, { enable = [] }): Polls<Sendable> {
        monitor.oobEnabled = enable.includes("oob");
        monitor.isReady = true;
        return undefined;
      },
    ),
  ],
]);

/** monitor_init_qmp: serve `monitor` until its client goes. Common. */
export function* monitorServe<S>(monitor: QmpMonitor<S>): Co<void> {
  assert(machine.currentContext === machine.mainContext, "monitors are in main");
  aioCoEnter(
    machine.mainContext,
    qemuCoroutineCreate(() => sendAll(monitor)),
  );
  const { version } = monitor.target;
  send(monitor, { QMP: { version, capabilities: ["oob"] } });
  const stream = new JsonStream();
  const seal = new SecretSeal(monitor.target.vault);
  const buffer = hostAllocate(RECEIVE_BYTES);
  const sealed = hostAllocate(sealedBytesMax(RECEIVE_BYTES));
  for (;;) {
    while (isFull(monitor)) yield* qemuCoQueueWait(monitor.room);
    const range = { buffer, start: 0, least: 1, most: RECEIVE_BYTES };
    const got = monitor.isClosed ? 0 : yield* socketRecv(monitor.socket, range);
    if (got <= 0) break;
    const bytes = hostDecide(SITE_SEAL, () =>
      seal.pass(contentsOf(buffer).subarray(0, got), contentsOf(sealed)),
    );
    for (const parsed of stream.feed(hostReveal(SITE_READ, sealed, 0, bytes)))
      accept(monitor, parsed);
  }
  while (monitor.isBusy || monitor.waiting.length > 0) yield* qemuCoQueueWait(monitor.room);
  monitorClose(monitor);
}

function contentsOf({ data }: GuestBuffer): Uint8Array {
  return must(data, "who decides on guest data has it");
}

function isFull<S>({ waiting, isClosed, oobEnabled }: QmpMonitor<S>): boolean {
  return !isClosed && waiting.length >= (oobEnabled ? QUEUE_MAX : 1);
}

/** handle_qmp_command (monitor/qmp.c:373). */
function accept<S>(monitor: QmpMonitor<S>, parsed: Parsed): void {
  if (parsed.ok && monitor.oobEnabled && isOob(parsed.value)) {
    runSoon(monitor, parsed, false);
    return;
  }
  monitor.waiting.push({ parsed });
  runNext(monitor);
}

function isOob(value: JsonValue): boolean {
  return value instanceof Map && value.has("exec-oob") && !value.has("execute");
}

function runNext<S>(monitor: QmpMonitor<S>): void {
  if (monitor.isBusy) return;
  const next = monitor.waiting.shift();
  if (next !== undefined) {
    monitor.isBusy = true;
    runSoon(monitor, next.parsed, true);
  }
  // Last: the reader may run at once, and what it reads must not overtake what is next.
  qemuCoQueueRestartAll(monitor.room);
}

/** In a bottom half of main: a command is at thread level. */
function runSoon<S>(monitor: QmpMonitor<S>, parsed: Parsed, inTurn: boolean): void {
  aioBhScheduleOneshot(machine.mainContext, function* (): Polls<void> {
    send(monitor, yield* answerTo(monitor, parsed));
    if (!inTurn) return;
    monitor.isBusy = false;
    runNext(monitor);
    aioWaitKick();
  });
}

function* answerTo<S>(monitor: QmpMonitor<S>, parsed: Parsed): Polls<Sendable> {
  if (!parsed.ok) return errorAnswer(new QmpError(parsed.error), undefined);
  const { value } = parsed;
  const id = idOf(value);
  const { target, isReady, oobEnabled } = monitor;
  let request: QmpRequest<S> | QmpRequest<QmpMonitor<unknown>>;
  try {
    if (!isReady) {
      request = negotiationRequest(value);
      return yield* runRequest(monitor as QmpMonitor<unknown>, request, id);
    }
    request = parseRequest(value, target.commands, oobEnabled);
  } catch (error) {
    return errorAnswer(error, id);
  }
  return yield* runRequest(target.state, request, id);
}

function negotiationRequest(value: JsonValue): QmpRequest<QmpMonitor<unknown>> {
  try {
    return parseRequest(value, negotiation, false);
  } catch (error) {
    if (error instanceof QmpError && error.errorClass === "CommandNotFound") {
      const why = "Expecting capabilities negotiation with 'qmp_capabilities'";
      throw new QmpError(why, "CommandNotFound");
    }
    throw error;
  }
}

/** An event, and when it happened: nanoseconds since 1970. */
export interface QmpEvent {
  readonly event: string;
  readonly data: Sendable;
  readonly ns: number;
}

/** monitor_qapi_event_emit: tell a client that has negotiated. Common. */
export function monitorEvent<S>(monitor: QmpMonitor<S>, { event, data, ns }: QmpEvent): void {
  if (!monitor.isReady) return;
  const seconds = Math.floor(ns / 1e9);
  const microseconds = Math.floor((ns - seconds * 1e9) / 1000);
  send(monitor, { timestamp: { seconds, microseconds }, event, data });
}

function send<S>(monitor: QmpMonitor<S>, message: Sendable): void {
  if (monitor.isClosed) return;
  const text = monitor.target.pretty ? prettyJsonText(message) : jsonText(message);
  // Monitors end each line like a terminal does.
  const line = new TextEncoder().encode(`${text.replaceAll("\n", "\r\n")}\r\n`);
  monitor.unsentBytes += line.length;
  if (monitor.unsentBytes > UNSENT_BYTES_MAX) {
    monitorClose(monitor);
    return;
  }
  monitor.unsent.push(line);
  qemuCoQueueRestartAll(monitor.toSend);
}

/** Lines go out in their order, one at a time. */
function* sendAll<S>(monitor: QmpMonitor<S>): Co<void> {
  for (;;) {
    while (monitor.unsent.length === 0 && !monitor.isClosed) yield* qemuCoQueueWait(monitor.toSend);
    const line = monitor.unsent.shift();
    if (line === undefined || monitor.isClosed) return;
    const buffer = new GuestBuffer(line.length, line);
    const ret = yield* socketSend(monitor.socket, buffer, 0, line.length);
    monitor.unsentBytes -= line.length;
    aioWaitKick();
    if (ret < 0) return;
  }
}

/** Whether all that was said is sent, or nobody is there to read it. Common. */
export function monitorIsFlushed<S>({ unsentBytes, isClosed }: QmpMonitor<S>): boolean {
  return isClosed || unsentBytes === 0;
}

/** Close the connection, once. Common. */
export function monitorClose<S>(monitor: QmpMonitor<S>): void {
  if (monitor.isClosed) return;
  monitor.isClosed = true;
  socketClose(monitor.socket);
  qemuCoQueueRestartAll(monitor.toSend);
  qemuCoQueueRestartAll(monitor.room);
  aioWaitKick();
}
