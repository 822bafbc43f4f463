// The sockets of the simulated host: connections between coroutines of one run, through a network that is modelled.
//
// What is sent arrives some time later, in order; a receive that would take more than it must is given less now and then, as by a
// real network. Addresses are text; nothing else is known of them. Latencies and cuts come from the run's seed.

import {
  assert,
  EADDRINUSE,
  ECANCELED,
  ECONNREFUSED,
  ECONNRESET,
  type HostHandle,
  must,
  type Prng,
} from "#core/base";
import type { HostOp, SocketAddress } from "#core/sched";

/** Latency of the network in ns: the least, and the width of what is drawn above it. */
const LATENCY_NS = [5_000, 45_000] as const;
/** One receive in so many is given less than there is. */
const CUT_ONE_IN = 4;

/** What the sockets need of the host: handles, and something that happens after a delay. */
export interface SimulatedSocketsOptions {
  readonly prng: Prng;
  readonly newHandle: () => HostHandle;
  /** Let `what` happen `delayNs` from now. */
  readonly later: (delayNs: number, what: () => void) => void;
  /** Hand back the result of an operation; only called from what happens later. */
  readonly complete: (op: HostOp, ret: number) => void;
}

interface Listener {
  readonly kind: "listener";
  readonly key: string;
  readonly accepts: HostOp[];
  readonly waiting: HostHandle[];
}

interface End {
  readonly kind: "end";
  readonly key: string;
  peer: End | null;
  /** Bytes that have arrived and are not taken. */
  arrived: Uint8Array[];
  arrivedBytes: number;
  /** The peer has sent its last. */
  isAtEnd: boolean;
  isReset: boolean;
  isClosed: boolean;
  readonly receives: HostOp[];
}

/** Every socket of one run, by handle. */
export class SimulatedSockets {
  readonly #options: SimulatedSocketsOptions;
  readonly #sockets = new Map<number, Listener | End>();
  readonly #listening = new Map<string, Listener>();
  /** What is under way on each connection arrives in order: what arrives next waits for what was sent before. */
  readonly #underWay = new Map<End, (() => void)[]>();

  constructor(options: SimulatedSocketsOptions) {
    this.#options = options;
  }

  has(handle: HostHandle): boolean {
    return this.#sockets.has(handle);
  }

  /** The call `socket`. */
  open(address: SocketAddress, listens: boolean): HostHandle {
    const key = JSON.stringify(address);
    return this.#add(listens ? { kind: "listener", key, accepts: [], waiting: [] } : newEnd(key));
  }

  #add(socket: Listener | End): HostHandle {
    const handle = this.#options.newHandle();
    this.#sockets.set(handle, socket);
    return handle;
  }

  submit(op: HostOp): void {
    const socket = must(this.#sockets.get(op.handle), "operations go to open sockets");
    if (op.type === "connect") this.#later(() => this.#connect(op, socket));
    else if (op.type === "accept") {
      assert(socket.kind === "listener", "a listener accepts");
      socket.accepts.push(op);
      this.#later(() => this.#match(socket));
    } else {
      assert(socket.kind === "end", "a connection sends and receives");
      assert(op.type !== "handshake", "this network has no credentials to shake hands with");
      if (op.type === "send") this.#send(op, socket);
      else {
        socket.receives.push(op);
        this.#later(() => this.#serve(socket));
      }
    }
  }

  #later(what: () => void): void {
    const [least, width] = LATENCY_NS;
    this.#options.later(least + this.#options.prng.below(width), what);
  }

  #connect(op: HostOp, socket: Listener | End): void {
    if (!this.#sockets.has(op.handle)) this.#options.complete(op, -ECANCELED);
    else if (socket.kind === "listener") this.#options.complete(op, this.#listen(socket));
    else this.#connectTo(this.#listening.get(socket.key), op, socket);
  }

  #listen(socket: Listener): number {
    if (this.#listening.has(socket.key)) return -EADDRINUSE;
    this.#listening.set(socket.key, socket);
    return 0;
  }

  #connectTo(listener: Listener | undefined, op: HostOp, socket: End): void {
    if (listener === undefined) {
      this.#options.complete(op, -ECONNREFUSED);
      return;
    }
    const peer = newEnd(socket.key);
    peer.peer = socket;
    socket.peer = peer;
    listener.waiting.push(this.#add(peer));
    this.#options.complete(op, 0);
    this.#match(listener);
  }

  #match(listener: Listener): void {
    while (listener.accepts.length > 0 && listener.waiting.length > 0) {
      const op = must(listener.accepts.shift(), "an accept waits");
      this.#options.complete(op, must(listener.waiting.shift(), "a connection waits"));
    }
  }

  /** The sender's bytes are copied when they are sent: it may use its buffer again when the send is complete. */
  #send(op: HostOp, from: End): void {
    const { peer } = from;
    const bytes = contentsOf(op).slice();
    this.#arrive(from, () => {
      const isGone = peer === null || peer.isClosed || from.isReset;
      this.#options.complete(op, isGone ? -ECONNRESET : 0);
      if (isGone) return;
      peer.arrived.push(bytes);
      peer.arrivedBytes += bytes.length;
      this.#serve(peer);
    });
  }

  /** `what` comes out of the network after all that `from` has put into it before. */
  #arrive(from: End, what: () => void): void {
    const queue = this.#underWay.get(from) ?? [];
    this.#underWay.set(from, queue);
    queue.push(what);
    this.#later(() => must(queue.shift(), "as much arrives as was sent")());
  }

  #serve(end: End): void {
    for (let op = end.receives[0]; op !== undefined; op = end.receives[0]) {
      const isOver = end.isAtEnd || end.isReset;
      if (end.arrivedBytes < op.offset && !isOver) return;
      end.receives.shift();
      if (end.isReset && end.arrivedBytes === 0) {
        this.#options.complete(op, -ECONNRESET);
        continue;
      }
      this.#options.complete(op, take(end, contentsOf(op), this.#portion(end, op)));
    }
  }

  /** How much a receive is given: all that there is, or, now and then, less. */
  #portion(end: End, op: HostOp): number {
    const most = Math.min(end.arrivedBytes, op.bytes);
    const least = Math.min(op.offset, most);
    if (least === most || !this.#options.prng.chance(1, CUT_ONE_IN)) return most;
    return least + this.#options.prng.below(most - least + 1);
  }

  close(handle: HostHandle): void {
    const socket = must(this.#sockets.get(handle), "an open socket is closed");
    this.#sockets.delete(handle);
    if (socket.kind === "listener") {
      if (this.#listening.get(socket.key) === socket) this.#listening.delete(socket.key);
      for (const waiting of socket.waiting.splice(0)) this.close(waiting);
      this.#cancel(socket.accepts);
      return;
    }
    socket.isClosed = true;
    this.#cancel(socket.receives);
    const { peer } = socket;
    if (peer === null) return;
    // Unread bytes turn a close into a reset, as in TCP.
    const isReset = socket.arrivedBytes > 0;
    this.#arrive(socket, () => {
      if (isReset) peer.isReset = true;
      peer.isAtEnd = true;
      this.#serve(peer);
    });
  }

  #cancel(ops: HostOp[]): void {
    const left = ops.splice(0);
    if (left.length === 0) return;
    this.#later(() => {
      for (const op of left) this.#options.complete(op, -ECANCELED);
    });
  }
}

function newEnd(key: string): End {
  return {
    kind: "end",
    key,
    peer: null,
    arrived: [],
    arrivedBytes: 0,
    isAtEnd: false,
    isReset: false,
    isClosed: false,
    receives: [],
  };
}

/** Move `bytes` of what has arrived to the front of `into`; returns how many. */
function take(end: End, into: Uint8Array, bytes: number): number {
  let taken = 0;
  while (taken < bytes) {
    const first = must(end.arrived[0], "there are so many bytes");
    const piece = first.subarray(0, bytes - taken);
    into.set(piece, taken);
    taken += piece.length;
    if (piece.length === first.length) end.arrived.shift();
    else end.arrived[0] = first.subarray(piece.length);
  }
  end.arrivedBytes -= bytes;
  return bytes;
}

function contentsOf({ iov, iovOffset, bytes }: HostOp): Uint8Array {
  const data = must(
    must(iov, "bytes are moved from or to a buffer").data,
    "simulated guest memory has contents",
  );
  return data.subarray(iovOffset, iovOffset + bytes);
}
