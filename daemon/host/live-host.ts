// The live host: real files through libuv's thread pool, real sockets, the real clock, real timers.
//
// The machine is synchronous, and libuv can only work while the machine stands still. So `deliver` hands over what has
// arrived, and says "wait" when nothing can run, and every TURN_STEPS steps while something is outstanding. `runLive`
// (run-live.ts) is the asynchronous rim that runs the machine, lets libuv have its turn, and runs it again.
//
// Reads beyond the end of a file are filled with zeroes. There is no way to punch a hole from Node, hence discard answers
// ENOTSUP, which the block layer takes as "nothing to do".

import fs from "node:fs";
import {
  assert,
  type ByteCount,
  EINVAL,
  EISDIR,
  ENOTSUP,
  errnoFromCode,
  type HostHandle,
  must,
  type OpId,
  type VirtualNs,
} from "#core/base";
import {
  copyContents,
  type Delivery,
  type FileOpType,
  GuestBuffer,
  type Host,
  type HostCallRequest,
  type HostOp,
  type HostResult,
  type HostTransform,
  type Inbox,
} from "#core/sched";
import { transform } from "./codec.ts";
import { readAll, writeAll, writeZeroes } from "./file-io.ts";
import { LiveCredentials } from "./live-credentials.ts";
import { LiveSockets } from "./live-sockets.ts";

/** Steps without a turn for libuv while operations are outstanding: a turn costs as much as a few steps, a late completion a whole request. */
const TURN_STEPS = 64;

/** What arrived while the machine stood still. */
type Arrival =
  | { readonly kind: "complete"; readonly id: OpId; readonly ret: number }
  | { readonly kind: "timer"; readonly id: number }
  | { readonly kind: "kick"; readonly handlerId: number };

export class LiveHost implements Host {
  readonly kind = "live";
  readonly #started = process.hrtime.bigint();
  readonly #files = new Map<number, number>();
  readonly #timers = new Map<number, NodeJS.Timeout>();
  readonly #kicks = new Set<NodeJS.Timeout>();
  readonly #sockets = new LiveSockets({
    complete: (op, ret) => this.#completed(op, ret),
    newHandle: () => this.#newHandle(),
    tlsOptions: (handle) => this.#credentials.serverOptions(handle),
  });
  readonly #credentials = new LiveCredentials(() => this.#newHandle());
  #arrivals: Arrival[] = [];
  #operations = 0;
  #handles = 0;
  #stepsSinceTurn = 0;
  #onArrival: (() => void) | null = null;
  #waitsIdle = false;

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
    this.#waitsIdle = idle;
    return "wait";
  }

  get #isExpecting(): boolean {
    return this.#operations > 0 || this.#timers.size > 0 || this.#kicks.size > 0;
  }

  #arrived(arrival: Arrival): void {
    this.#arrivals.push(arrival);
    const wake = this.#onArrival;
    this.#onArrival = null;
    wake?.();
  }

  /** For the rim, after `deliver` said "wait": one turn of libuv if something can run, else however long until something arrives. */
  turn(): Promise<void> {
    if (this.#waitsIdle) return this.#arrival();
    return new Promise((resolve) => setImmediate(resolve));
  }

  #arrival(): Promise<void> {
    assert(this.#onArrival === null, "one rim waits");
    if (this.#arrivals.length > 0) return Promise.resolve();
    assert(this.#isExpecting, "something can still arrive");
    return new Promise((resolve) => {
      this.#onArrival = resolve;
    });
  }

  /** For the rim, after the run: wait for operations under way, then let go of timers and files. */
  async close(): Promise<void> {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    for (const kick of this.#kicks) clearTimeout(kick);
    this.#timers.clear();
    this.#kicks.clear();
    this.#sockets.closeAll();
    while (this.#operations > 0) {
      this.#arrivals = [];
      await this.#arrival();
    }
    for (const fd of this.#files.values()) fs.closeSync(fd);
    this.#files.clear();
  }

  call(request: HostCallRequest): HostResult {
    try {
      return this.#call(request);
    } catch (error) {
      return { ret: -errnoOf(error), value: 0 };
    }
  }

  #call(request: HostCallRequest): HostResult {
    if (request.call === "open") return this.#openFile(request);
    if (request.call === "socket")
      return { ret: 0, value: this.#sockets.open(request.address, request.listens) };
    if (request.call === "secret") return this.#credentials.openSecret(request.secret);
    if (request.call === "tls_creds") return this.#credentials.openCreds(request.creds);
    const keeper = [this.#sockets, this.#credentials].find((one) => one.has(request.handle));
    if (keeper !== undefined) {
      assert(request.call === "close", "sockets and credentials are closed, and no more");
      keeper.close(request.handle);
      return { ret: 0, value: 0 };
    }
    const fd = this.#fdOf(request.handle);
    switch (request.call) {
      case "close":
        this.#files.delete(request.handle);
        fs.closeSync(fd);
        return { ret: 0, value: 0 };
      case "size":
        return { ret: 0, value: fs.fstatSync(fd).size };
      case "alignment":
        return { ret: 0, value: 1 };
      case "truncate":
        fs.ftruncateSync(fd, request.size);
        return { ret: 0, value: 0 };
    }
  }

  #openFile({ path, writable, create }: Extract<HostCallRequest, { call: "open" }>): HostResult {
    const access = writable ? fs.constants.O_RDWR : fs.constants.O_RDONLY;
    const fd = fs.openSync(path, create ? access | fs.constants.O_CREAT : access, 0o644);
    const stat = fs.fstatSync(fd);
    if (!stat.isFile()) {
      fs.closeSync(fd);
      return { ret: stat.isDirectory() ? -EISDIR : -EINVAL, value: 0 };
    }
    const handle = this.#newHandle();
    this.#files.set(handle, fd);
    return { ret: 0, value: handle };
  }

  #newHandle(): HostHandle {
    return ++this.#handles as HostHandle;
  }

  #fdOf(handle: HostHandle): number {
    return must(this.#files.get(handle), "operations and calls go to open files");
  }

  submit(op: HostOp): void {
    const fd = this.#sockets.has(op.handle) ? null : this.#fdOf(op.handle);
    this.#operations++;
    if (fd === null) this.#sockets.submit(op);
    else this.#submitToFile(op, fd);
  }

  #completed(op: HostOp, ret: number): void {
    this.#operations--;
    this.#arrived({ kind: "complete", id: op.id, ret });
  }

  #submitToFile(op: HostOp, fd: number): void {
    const done = (error: NodeJS.ErrnoException | null) =>
      this.#completed(op, error === null ? 0 : -errnoOf(error));
    switch (op.type as FileOpType) {
      case "read":
        readAll(fd, contentsOf(op), op.offset, done);
        return;
      case "write":
        writeAll(fd, contentsOf(op), op.offset, done);
        return;
      case "write_zeroes":
        writeZeroes(fd, op.offset, op.bytes, done);
        return;
      case "flush":
        fs.fdatasync(fd, done);
        return;
      case "discard":
        setImmediate(
          done,
          Object.assign(new Error("discard"), { code: "ENOTSUP", errno: -ENOTSUP }),
        );
        return;
    }
  }

  transform(op: HostTransform): void {
    this.#operations++;
    transform(op, (ret) => {
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

  reveal(from: GuestBuffer, start: number, into: Uint8Array): void {
    copyContents(from, start, into);
  }
}

function handOver(inbox: Inbox, arrival: Arrival): void {
  if (arrival.kind === "complete") inbox.complete(arrival.id, arrival.ret);
  else if (arrival.kind === "timer") inbox.expire(arrival.id);
  else inbox.fdReady(arrival.handlerId);
}

function contentsOf({ iov, iovOffset, bytes }: HostOp): Uint8Array {
  const data = must(
    must(iov, "an operation that moves bytes has a buffer").data,
    "live memory has contents",
  );
  return data.subarray(iovOffset, iovOffset + bytes);
}

/** Timers of Node count in milliseconds, up to 2^31 of them: who waits for longer, or is woken early, waits again. */
function millisecondsFor(ns: number): number {
  return Math.min(Math.max(0, Math.ceil(ns / 1e6)), 0x7fff_ffff);
}

function errnoOf(error: unknown): number {
  return errnoFromCode((error as NodeJS.ErrnoException).code);
}
