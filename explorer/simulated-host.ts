// The simulated host: virtual time, a modelled disk and network, and external clients, all of it derived from one seed.
//
// Time advances by STEP_NS with every step, and jumps to what is due next when no context can run. An operation's latency is drawn
// when it is submitted, so completions come out of order; its effect takes place when it completes. A fault of the disk's
// plan is drawn at submission, too, so that the plan does not depend on the order of completions.

import {
  assert,
  type ByteCount,
  EACCES,
  ENOTSUP,
  type HostHandle,
  must,
  type OpId,
  type Prng,
  type VirtualNs,
} from "#core/base";
import {
  copyContents,
  type Delivery,
  type FileOpType,
  GuestBuffer,
  type Host,
  type HostCallRequest,
  type HostCopy,
  type HostOp,
  type HostResult,
  type HostTransform,
  type Inbox,
} from "#core/sched";
import { transformNow } from "./codec.ts";
import { DueQueue } from "./due-queue.ts";
import type { ExternalClients } from "./external-clients.ts";
import {
  type DiskOperationType,
  type DiskOptions,
  SimulatedDisk,
  type SimulatedFile,
} from "./simulated-disk.ts";
import { SimulatedSockets } from "./simulated-sockets.ts";
import { streamOf } from "./streams.ts";

/** Virtual time of one step: about what a handler of the block layer takes. */
const STEP_NS = 200;

/** Latencies in ns: the least, and the width of what is drawn above it. A disk of the NVMe kind: reads are quicker than flushes. */
const LATENCIES: Readonly<Record<DiskOperationType | "transform", readonly [number, number]>> = {
  read: [8_000, 40_000],
  write: [12_000, 60_000],
  flush: [40_000, 160_000],
  write_zeroes: [10_000, 40_000],
  discard: [10_000, 40_000],
  block_status: [2_000, 8_000],
  allocate: [10_000, 40_000],
  copy_range: [20_000, 100_000],
  transform: [100_000, 400_000],
};
/** One operation in so many takes SLOW_FACTOR times as long: without them, nothing is ever late. */
const SLOW_ONE_IN = 48;
const SLOW_FACTOR = 12;

/** What to simulate. */
export interface SimulatedHostOptions {
  readonly seed: number;
  readonly disk?: DiskOptions;
}

/** An operation on a file of the modelled disk. */
interface FileOp extends HostOp {
  readonly type: FileOpType;
}

type Due =
  | {
      readonly kind: "complete";
      readonly op: FileOp;
      readonly file: SimulatedFile;
      readonly fault: number;
    }
  | { readonly kind: "network"; readonly happens: () => void }
  | { readonly kind: "transform"; readonly op: HostTransform }
  | { readonly kind: "copy"; readonly id: OpId; readonly carryOut: () => number }
  | { readonly kind: "timer"; readonly id: number; readonly armed: number }
  | { readonly kind: "kick"; readonly handlerId: number };

export class SimulatedHost implements Host, ExternalClients {
  readonly kind = "simulated";
  readonly disk: SimulatedDisk;
  readonly #latency: Prng;
  readonly #clients: Prng;
  readonly #cache: Prng;
  readonly #nowOneIn: number;
  readonly #due = new DueQueue<Due>();
  readonly #sockets: SimulatedSockets;
  /** What completions go to; set while the machine lets the host deliver. */
  #inbox: Inbox | null = null;
  readonly #open = new Map<number, { readonly file: SimulatedFile; readonly writable: boolean }>();
  /** For each armed timer the number of its arming: what is due for an older one is void. */
  readonly #armings = new Map<number, number>();
  #armed = 0;
  #handles = 0;
  #now = 0;

  constructor(options: SimulatedHostOptions) {
    this.disk = new SimulatedDisk(options.disk ?? {}, streamOf(options.seed, "faults"));
    this.#latency = streamOf(options.seed, "latency");
    this.#clients = streamOf(options.seed, "clients");
    this.#cache = streamOf(options.seed, "cache");
    this.#nowOneIn = options.disk?.nowOneIn ?? 0;
    this.#sockets = new SimulatedSockets({
      prng: streamOf(options.seed, "network"),
      newHandle: () => this.#newHandle(),
      later: (delayNs, happens) =>
        this.#due.push(this.#now + delayNs, { kind: "network", happens }),
      complete: (op, ret) =>
        must(this.#inbox, "the network completes when it is its turn").complete(op.id, ret),
    });
  }

  #newHandle(): HostHandle {
    return ++this.#handles as HostHandle;
  }

  deliver(inbox: Inbox, idle: boolean): Delivery {
    if (idle) {
      if (this.#due.size === 0) return "never";
      this.#now = Math.max(this.#now, this.#due.nextAt);
    } else {
      this.#now += STEP_NS;
    }
    for (
      let due = this.#due.popDue(this.#now);
      due !== undefined;
      due = this.#due.popDue(this.#now)
    ) {
      this.#deliverOne(inbox, due);
    }
    return "go";
  }

  #deliverOne(inbox: Inbox, due: Due): void {
    if (due.kind === "kick") {
      inbox.fdReady(due.handlerId);
    } else if (due.kind === "network") {
      this.#inbox = inbox;
      due.happens();
      this.#inbox = null;
    } else if (due.kind === "timer") {
      if (this.#armings.get(due.id) !== due.armed) return;
      this.#armings.delete(due.id);
      inbox.expire(due.id);
    } else if (due.kind === "transform") {
      inbox.complete(due.op.id, transformNow(due.op));
    } else if (due.kind === "copy") {
      inbox.complete(due.id, due.carryOut());
    } else {
      inbox.complete(due.op.id, this.#carryOut(due.op, due.file, due.fault));
    }
  }

  #carryOut(op: FileOp, file: SimulatedFile, fault: number): number {
    if (fault !== 0) return fault;
    const { type, offset, bytes, iov, iovOffset } = op;
    const data = iov === null ? null : must(iov.data, "simulated guest memory has contents");
    return this.disk.perform(file, {
      type,
      offset,
      bytes,
      data: data === null ? null : data.subarray(iovOffset, iovOffset + bytes),
    });
  }

  submit(op: HostOp): number | null {
    if (!this.#sockets.has(op.handle)) return this.#submitToFile(op as FileOp);
    this.#sockets.submit(op);
    return null;
  }

  #submitToFile(op: FileOp): number | null {
    const open = must(this.#open.get(op.handle), "operations go to open files");
    const changes = !["read", "flush", "block_status"].includes(op.type);
    let fault = this.disk.faultOf(open.file, { ...op, data: null });
    if (fault === 0 && changes && !open.writable) fault = -EACCES;
    if ((op.type === "read" || op.type === "write") && this.#isCached())
      return this.#carryOut(op, open.file, fault);
    this.#due.push(this.#now + this.#drawLatency(op.type), {
      kind: "complete",
      op,
      file: open.file,
      fault,
    });
    return null;
  }

  #isCached(): boolean {
    return this.#nowOneIn > 0 && this.#cache.chance(1, this.#nowOneIn);
  }

  transform(op: HostTransform): void {
    const due = this.#now + this.#drawLatency("transform");
    this.#due.push(due, { kind: "transform", op });
  }

  copy({ id, from, fromOffset, to, toOffset, bytes }: HostCopy): void {
    const source = must(this.#open.get(from), "a copy is from an open file").file;
    const { file, writable } = must(this.#open.get(to), "a copy is to an open file");
    const of = { type: "copy_range", bytes } as const;
    let fault = this.disk.faultOf(source, { ...of, offset: fromOffset });
    if (fault === 0) fault = this.disk.faultOf(file, { ...of, offset: toOffset });
    if (fault === 0 && !writable) fault = -EACCES;
    const ends = [
      { file: source, offset: fromOffset },
      { file, offset: toOffset },
    ] as const;
    const carryOut = (): number => (fault === 0 ? this.disk.copy(...ends, bytes) : fault);
    const due = this.#now + this.#drawLatency("copy_range");
    this.#due.push(due, { kind: "copy", id, carryOut });
  }

  #drawLatency(type: DiskOperationType | "transform"): number {
    const [least, width] = LATENCIES[type];
    const slow = this.#latency.chance(1, SLOW_ONE_IN) ? SLOW_FACTOR : 1;
    return (least + this.#latency.below(width)) * slow;
  }

  call(request: HostCallRequest): HostResult {
    if (request.call === "open") return this.#openFile(request);
    if (request.call === "socket")
      return { ret: 0, value: this.#sockets.open(request.address, request.listens) };
    if (request.call === "secret" || request.call === "tls_creds")
      return { ret: -ENOTSUP, value: 0 };
    if (request.call === "close" && this.#sockets.has(request.handle)) {
      this.#sockets.close(request.handle);
      return { ret: 0, value: 0 };
    }
    const open = must(this.#open.get(request.handle), "calls go to open files");
    switch (request.call) {
      case "close":
        this.#open.delete(request.handle);
        return { ret: 0, value: 0 };
      case "lock":
        // Nobody else has these files open.
        return { ret: 0, value: 0 };
      case "size":
        return { ret: 0, value: open.file.size };
      case "allocated":
        return { ret: 0, value: open.file.allocated };
      case "alignment":
        return { ret: 0, value: this.disk.alignment };
      case "truncate": {
        const ret = open.writable ? this.disk.truncate(open.file, request.size) : -EACCES;
        return { ret, value: 0 };
      }
    }
  }

  #openFile(request: Extract<HostCallRequest, { call: "open" }>): HostResult {
    const file = this.disk.open(request.path, request.create);
    if (typeof file === "number") return { ret: file, value: 0 };
    const handle = this.#newHandle();
    this.#open.set(handle, { file, writable: request.writable });
    return { ret: 0, value: handle };
  }

  readClock(): VirtualNs {
    return this.#now as VirtualNs;
  }

  timerArmed(timerId: number, deadlineNs: VirtualNs | null): void {
    if (deadlineNs === null) {
      this.#armings.delete(timerId);
      return;
    }
    const armed = ++this.#armed;
    this.#armings.set(timerId, armed);
    this.#due.push(Math.max(deadlineNs, this.#now), { kind: "timer", id: timerId, armed });
  }

  /** The delay is drawn around `delayNs`, between half of it and one and a half. */
  kick(handlerId: number, delayNs: number): void {
    assert(delayNs >= 0, "a kick comes later");
    const delay = Math.floor(delayNs / 2) + this.#clients.below(delayNs + 1);
    this.#due.push(this.#now + delay, { kind: "kick", handlerId });
  }

  allocate(bytes: ByteCount): GuestBuffer {
    return new GuestBuffer(bytes, new Uint8Array(bytes));
  }

  decide(decide: () => number): number {
    return decide();
  }

  reveal(from: GuestBuffer, start: number, into: Uint8Array, bytes: number): void {
    copyContents(from, start, into, bytes);
  }
}
