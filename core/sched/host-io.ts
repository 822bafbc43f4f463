// The core's side of the door: synchronous host calls, operations that complete later, the clock, decisions on guest data.
// Each answer is recorded as an input at the moment the core learns it.

import {
  assert,
  type ByteCount,
  type ByteOffset,
  type HostHandle,
  type OpId,
  type SiteId,
  type VirtualNs,
} from "../base/index.ts";
import { Call, Ev, Request } from "../probe/index.ts";
import type { AioContext } from "./aio-context.ts";
import { CO_STOP, type Co, settled } from "./colours.ts";
import { type Coroutine, qemuCoroutineSelf, qemuCoroutineYield } from "./coroutine.ts";
import { machine, nextId, perMachine } from "./current.ts";
import type {
  FileAccess,
  GuestBuffer,
  HostCallRequest,
  HostCopy,
  HostOpType,
  HostResult,
  HostTransform,
} from "./host.ts";

/** An operation that the host has not completed, or whose completion its context has not dispatched yet. */
export class IoOperation {
  readonly id: OpId;
  readonly ctx: AioContext;
  readonly co: Coroutine;
  ret = 0;

  constructor(id: OpId, ctx: AioContext, co: Coroutine) {
    this.id = id;
    this.ctx = ctx;
    this.co = co;
  }
}

const outstanding = perMachine((): IoOperation[] => []);

/** Operations that the host has not completed, oldest first. Common. */
export function outstandingOperations(): readonly IoOperation[] {
  return outstanding();
}

/** Take the outstanding operation at `rank` (from 0, oldest first) out of the list. Common. */
export function takeOutstanding(rank: number): IoOperation {
  const operation = outstanding().splice(rank, 1)[0];
  assert(operation !== undefined, "the rank is that of an outstanding operation");
  return operation;
}

/**
 * A synchronous call to the host: open, size, ...; its result is recorded. A truncate, which has no other answer than its
 * `ret`, is recorded with the size that was asked for, so that replay notices another one. Paths stay out of traces. Common.
 */
export function hostCall(request: HostCallRequest): HostResult {
  const result = machine.host.call(request);
  const value = request.call === "truncate" ? request.size : result.value;
  assert(Number.isSafeInteger(value), "host values are safe integers");
  const handle = "handle" in request ? request.handle : 0;
  const { probe } = machine;
  probe.emitWide(Ev.host_call, value, Call[request.call], handle, result.ret, machine.takeSteps());
  return { ret: result.ret, value };
}

/**
 * Submit an operation and wait for it, if it is not complete at once; returns what the host returned (>= 0 or a negated errno).
 * Common.
 */
export function hostSubmit(
  type: HostOpType,
  handle: HostHandle,
  offset: ByteOffset,
  bytes: ByteCount,
  iov: GuestBuffer | null,
  iovOffset: number,
): Co<number> {
  const ctx = machine.currentContext;
  assert(ctx !== null, "operations are submitted inside a step");
  assert(bytes >= 0, "byte counts are not negative");
  const { probe, host } = machine;
  const id = ++machine.last.op as OpId;
  probe.emitWide(Ev.io_submit, offset, id, Request[type], handle, bytes);
  const now = host.submit({ id, type, handle, offset, bytes, iov, iovOffset });
  if (now !== null) {
    probe.emit(Ev.io_now, id, now, machine.takeSteps());
    return settled(now);
  }
  const operation = new IoOperation(id, ctx, qemuCoroutineSelf());
  outstanding().push(operation);
  return untilDone(operation);
}

/**
 * As hostSubmit, of a request of which this is all that the world hears, in a run that nobody watches (`machine.isUnwatched`): what the
 * host returned, and the request's task is counted; or null, and nothing has happened. Common.
 */
export function hostNow(access: FileAccess): number | null {
  const { probe, host, last } = machine;
  assert(machine.isUnwatched, "who watches sees every step");
  assert(probe.task === 0, "a request is no part of another");
  const now = host.now?.(access) ?? null;
  if (now === null) return null;
  probe.task = ++last.task;
  probe.emit(Ev.io_now, ++last.op as OpId, now, machine.takeSteps());
  probe.task = 0;
  return now;
}

/** Yields by itself: qemuCoroutineYield would be one generator more to resume, and here a request that comes in alone waits. */
function* untilDone(operation: IoOperation): Co<number> {
  yield CO_STOP;
  return operation.ret;
}

/**
 * Compress or decompress guest data from one buffer into another: the length that it got, or a negated errno (`HostTransform`).
 * The data is looked at by the host alone; the answer is all that a recording has of it. Common.
 */
export function* hostTransform(transform: Omit<HostTransform, "id">): Co<number> {
  const ctx = machine.currentContext;
  assert(ctx !== null, "operations are submitted inside a step");
  const operation = new IoOperation(nextId(machine, "op") as OpId, ctx, qemuCoroutineSelf());
  outstanding().push(operation);
  machine.probe.emitWide(Ev.io_submit, 0, operation.id, Request.other, 0, transform.fromBytes);
  machine.host.transform({ ...transform, id: operation.id });
  yield* qemuCoroutineYield();
  assert(operation.ret <= transform.toBytes, "what comes out fits");
  return operation.ret;
}

/** Let the host copy between files: 0 or a negated errno (`HostCopy`). No guest data comes to anybody. Common. */
export function* hostCopy(copy: Omit<HostCopy, "id">): Co<number> {
  const ctx = machine.currentContext;
  assert(ctx !== null, "operations are submitted inside a step");
  assert(copy.bytes > 0, "something is copied");
  const { probe } = machine;
  const operation = new IoOperation(nextId(machine, "op") as OpId, ctx, qemuCoroutineSelf());
  const { id } = operation;
  outstanding().push(operation);
  probe.emitWide(Ev.io_submit, copy.toOffset, id, Request.copy_range, copy.to, copy.bytes);
  probe.emitWide(Ev.io_copy_from, copy.fromOffset, id, copy.from);
  machine.host.copy({ ...copy, id });
  yield* qemuCoroutineYield();
  assert(operation.ret <= 0, "a copy returns 0 or a negated errno");
  return operation.ret;
}

/** The clock, in nanoseconds since the run began. Recorded: ask rarely. Common. */
export function clockNs(): VirtualNs {
  const now = machine.host.readClock();
  machine.probe.emitWide(Ev.clock_read, now, machine.takeSteps());
  return now;
}

/** Memory for a guest: poisoned in replay. Common. */
export function hostAllocate(bytes: number): GuestBuffer {
  assert(bytes >= 0, "byte counts are not negative");
  return machine.host.allocate(bytes as ByteCount);
}

/** Bytes in one `revealed` event. */
const PIECE_BYTES = 16;
/** The piece at hand, and its words. One for all: a view of new memory for each costs more than the request that it is part of. */
const PIECE = new Uint8Array(PIECE_BYTES);
const WORDS = new DataView(PIECE.buffer);

/**
 * The contents of `bytes` bytes of `from`, from `start` on: for metadata that was read from an image or received from a peer.
 * Once revealed, bytes are in the trace and are the same in replay; so reveal no guest data. They are put into `into`, which has their
 * length: new memory costs more than what is done with a short header. Common.
 */
export function hostReveal(
  site: SiteId,
  from: GuestBuffer,
  start: number,
  bytes: number,
  into = new Uint8Array(bytes),
): Uint8Array<ArrayBuffer> {
  assert(into.length === bytes, "what is revealed fills its place");
  assert(start >= 0 && start + bytes <= from.length, "what is revealed lies inside its buffer");
  const { host, probe } = machine;
  probe.emit(Ev.reveal, site, bytes, machine.takeSteps());
  for (let at = 0; at < bytes; at += PIECE_BYTES) {
    const count = Math.min(bytes - at, PIECE_BYTES);
    for (let i = count; i < PIECE_BYTES; i++) PIECE[i] = 0;
    host.reveal(from, start + at, PIECE, count);
    for (let i = 0; i < count; i++) into[at + i] = PIECE[i] as number;
    const [a, b] = [WORDS.getInt32(0), WORDS.getInt32(4)];
    probe.emit(Ev.revealed, a, b, WORDS.getInt32(8), WORDS.getInt32(12));
  }
  return into;
}

/**
 * A decision that depends on guest data: `decide` may look at it; in replay the recorded answer comes back instead. Common.
 */
export function hostDecide(site: SiteId, decide: () => number): number {
  const value = machine.host.decide(decide);
  machine.probe.emit(Ev.data_decision, site, value, machine.takeSteps());
  return value;
}
