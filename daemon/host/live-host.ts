// The live host: real files through libuv's thread pool, real sockets, the real clock, real timers.
//
// The machine is synchronous, and libuv can only work while the machine stands still. So `deliver` hands over what has
// arrived, and says "wait" when nothing can run, and every TURN_STEPS steps while something is outstanding. `runLive`
// (run-live.ts) is the asynchronous rim that runs the machine, lets libuv have its turn, and runs it again. What needs no waiting
// is done as it is submitted, up to NOW_MAX operations between two turns, so that nobody waits for long.

import {
  assert,
  type ByteCount,
  ENOENT,
  errnoFromCode,
  type HostHandle,
  type OpId,
  type VirtualNs,
} from "#core/base";
import {
  copyContents,
  type Delivery,
  type FileAccess,
  type FileAio,
  GuestBuffer,
  type Host,
  type HostCallRequest,
  type HostCopy,
  type HostOp,
  type HostResult,
  type HostTransform,
  type Inbox,
} from "#core/sched";
import { transform } from "./codec.ts";
import { IdlePoll } from "./idle-poll.ts";
import { LiveCredentials } from "./live-credentials.ts";
import { LiveFiles } from "./live-files.ts";
import { LiveSockets } from "./live-sockets.ts";

/** Steps without a turn for libuv while operations are outstanding: a turn costs as much as a few steps, a late completion a whole request. */
const TURN_STEPS = 64;
/** The longest interval there is: nothing happens in it but that the process lives on. */
const KEEP_ALIVE_MS = 0x7fffffff;
/**
 * Operations that are done at once between two turns: what one client has under way, thrice, in a millisecond or less. One that moves
 * more than NOW_BYTES counts as several.
 */
const NOW_MAX = 512;
const NOW_BYTES = 32 * 1024;

/** What arrived while the machine stood still. */
type Arrival =
  | { readonly kind: "complete"; readonly id: OpId; readonly ret: number }
  | { readonly kind: "timer"; readonly id: number }
  | { readonly kind: "kick"; readonly handlerId: number };

/** What a live host can be told. */
export interface LiveHostOptions {
  /** Of files for which nothing else was asked. By default threads: then requests are under way for a while, as scenarios want it. */
  readonly aio?: FileAio;
  /** How long the host looks for work before it sleeps, in ns at most; by default it does not. */
  readonly pollMaxNs?: number;
}

export class LiveHost implements Host {
  readonly kind = "live";
  readonly #started = process.hrtime.bigint();
  readonly #timers = new Map<number, NodeJS.Timeout>();
  readonly #kicks = new Set<NodeJS.Timeout>();
  /** Keeps the process alive while somebody outside may kick; null while nobody does. */
  #outside: NodeJS.Timeout | null = null;
  readonly #files: LiveFiles;
  readonly #sockets: LiveSockets;
  readonly #credentials = new LiveCredentials(() => this.#newHandle());
  #arrivals: Arrival[] = [];
  #operations = 0;
  #handles = 0;
  #stepsSinceTurn = 0;
  #onArrival: (() => void) | null = null;
  #waitsIdle = false;
  readonly #idlePoll: IdlePoll;
  /** Operations that may still be done at once before libuv gets its turn. */
  #nowLeft = NOW_MAX;

  constructor({ aio = "threads", pollMaxNs = 0 }: LiveHostOptions = {}) {
    this.#idlePoll = new IdlePoll(pollMaxNs);
    const options = {
      complete: (op: HostOp, ret: number) => this.#completed(op, ret),
      newHandle: () => this.#newHandle(),
    };
    this.#files = new LiveFiles({ ...options, aio });
    this.#sockets = new LiveSockets({
      ...options,
      liveTls: (handle) => this.#credentials.liveTls(handle),
    });
  }

  /** How long the host looks for work before it sleeps, from now on: as IdlePoll.set. */
  setPolling(maxNs: number, grow: number, shrink: number): void {
    this.#idlePoll.set(maxNs, grow, shrink);
  }

  deliver(inbox: Inbox, idle: boolean): Delivery {
    if (this.#arrivals.length > 0) {
      const arrivals = this.#arrivals;
      this.#arrivals = [];
      for (const arrival of arrivals) handOver(inbox, arrival);
      return "go";
    }
    if (!this.#isExpecting) return idle ? "never" : "go";
    if (!idle && ++this.#stepsSinceTurn < TURN_STEPS) return "go";
    this.#stepsSinceTurn = 0;
    this.#nowLeft = NOW_MAX;
    this.#sockets.flush();
    this.#waitsIdle = idle;
    return "wait";
  }

  get #isExpecting(): boolean {
    const { size } = this.#kicks;
    return this.#operations > 0 || this.#timers.size > 0 || size > 0 || this.#outside !== null;
  }

  #arrived(arrival: Arrival): void {
    this.#arrivals.push(arrival);
    const wake = this.#onArrival;
    this.#onArrival = null;
    if (wake === null) return;
    this.#idlePoll.end();
    // Of several clients, some more may be ready now: libuv comes to those first. What one alone says is answered as it comes.
    if (this.#sockets.connections > 1) setImmediate(wake);
    else process.nextTick(wake);
  }

  /**
   * For the rim, after `deliver` said "wait": `goOn` is called after one turn of libuv if something can run, else when something has
   * arrived, however long that takes.
   */
  turn(goOn: () => void): void {
    if (!this.#waitsIdle) setImmediate(goOn);
    else if (this.#arrivals.length > 0) process.nextTick(goOn);
    else this.#atArrival(goOn);
  }

  #atArrival(goOn: () => void): void {
    assert(this.#onArrival === null, "one rim waits");
    assert(this.#isExpecting, "something can still arrive");
    this.#onArrival = goOn;
    this.#idlePoll.begin();
  }

  /** For the rim, after the run: wait for operations under way, then let go of timers and files. */
  async close(): Promise<void> {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    for (const kick of this.#kicks) clearTimeout(kick);
    this.#timers.clear();
    this.#kicks.clear();
    this.expectOutside(false);
    this.#sockets.closeAll();
    while (this.#operations > 0) {
      this.#arrivals = [];
      await new Promise<void>((resolve) => this.#atArrival(resolve));
    }
    this.#files.closeAll();
  }

  call(request: HostCallRequest): HostResult {
    try {
      if (hasNul(request)) return { ret: -ENOENT, value: 0 };
      if (request.call === "socket")
        return { ret: 0, value: this.#sockets.open(request.address, request.listens) };
      if (request.call === "secret") return this.#credentials.openSecret(request.secret);
      if (request.call === "tls_creds") return this.#credentials.openCreds(request.creds);
      if (request.call === "open") return this.#files.call(request);
      const keeper = [this.#sockets, this.#credentials].find((one) => one.has(request.handle));
      if (keeper !== undefined) {
        assert(request.call === "close", "sockets and credentials are closed, and no more");
        keeper.close(request.handle);
        return { ret: 0, value: 0 };
      }
      return this.#files.call(request);
    } catch (error) {
      return { ret: -errnoFromCode((error as NodeJS.ErrnoException).code), value: 0 };
    }
  }

  #newHandle(): HostHandle {
    return ++this.#handles as HostHandle;
  }

  submit(op: HostOp): number | null {
    const mayBeNow = this.#nowLeft > 0;
    const now = this.#sockets.has(op.handle)
      ? this.#sockets.submit(op, mayBeNow)
      : this.#files.submit(op, mayBeNow);
    if (now === null) this.#operations++;
    else this.#nowLeft -= 1 + Math.floor(op.bytes / NOW_BYTES);
    return now;
  }

  now(access: FileAccess): number | null {
    if (this.#nowLeft <= 0) return null;
    const ret = this.#files.now(access);
    if (ret !== null) this.#nowLeft -= 1 + Math.floor(access.bytes / NOW_BYTES);
    return ret;
  }

  #completed(op: HostOp, ret: number): void {
    this.#operations--;
    this.#arrived({ kind: "complete", id: op.id, ret });
  }

  transform(op: HostTransform): void {
    this.#operations++;
    transform(op, (ret) => {
      this.#operations--;
      this.#arrived({ kind: "complete", id: op.id, ret });
    });
  }

  copy(op: HostCopy): void {
    this.#operations++;
    this.#files.copy(op, (ret) => {
      this.#operations--;
      this.#arrived({ kind: "complete", id: op.id, ret });
    });
  }

  readClock(): VirtualNs {
    return Number(process.hrtime.bigint() - this.#started) as VirtualNs;
  }

  timerArmed(timerId: number, deadlineNs: VirtualNs | null): void {
    clearTimeout(this.#timers.get(timerId));
    this.#timers.delete(timerId);
    if (deadlineNs === null) return;
    const wait = () => {
      const leftNs = deadlineNs - this.readClock();
      if (leftNs > 0) {
        this.#timers.set(timerId, setTimeout(wait, millisecondsFor(leftNs)));
      } else {
        this.#timers.delete(timerId);
        this.#arrived({ kind: "timer", id: timerId });
      }
    };
    this.#timers.set(timerId, setTimeout(wait, millisecondsFor(deadlineNs - this.readClock())));
  }

  /** Whether somebody who is no file, timer or socket may kick at any time, as a signal does: then nothing is over before that. */
  expectOutside(expected: boolean): void {
    if (this.#outside !== null) clearInterval(this.#outside);
    this.#outside = expected ? setInterval(() => {}, KEEP_ALIVE_MS) : null;
  }

  /** Let the fd handler numbered `handlerId` become ready `delayNs` from now: an external client, for scenarios. */
  kick(handlerId: number, delayNs: number): void {
    const timer = setTimeout(() => {
      this.#kicks.delete(timer);
      this.#arrived({ kind: "kick", handlerId });
    }, millisecondsFor(delayNs));
    this.#kicks.add(timer);
  }

  allocate(bytes: ByteCount): GuestBuffer {
    return new GuestBuffer(bytes, Buffer.alloc(bytes));
  }

  decide(decide: () => number): number {
    return decide();
  }

  reveal(from: GuestBuffer, start: number, into: Uint8Array, bytes: number): void {
    copyContents(from, start, into, bytes);
  }
}

/** A client may write a character 0; no file has it in its name, and Node has no errno for that. */
function hasNul(request: HostCallRequest): boolean {
  const path =
    request.call === "open"
      ? request.path
      : request.call === "socket" && request.address.type === "unix"
        ? request.address.path
        : "";
  return path.includes("\0");
}

function handOver(inbox: Inbox, arrival: Arrival): void {
  if (arrival.kind === "complete") inbox.complete(arrival.id, arrival.ret);
  else if (arrival.kind === "timer") inbox.expire(arrival.id);
  else inbox.fdReady(arrival.handlerId);
}

/** Timers of Node count in milliseconds, up to 2^31 of them: who waits for longer, or is woken early, waits again. */
function millisecondsFor(ns: number): number {
  return Math.min(Math.max(0, Math.ceil(ns / 1e6)), 0x7fff_ffff);
}
