// One end of a connection.
//
// What comes in waits in a queue until it is received: `AHEAD_BYTES` of it, and what Node's own buffer holds. A client that is not
// read from any longer is not received from, so that memory stays bounded however fast it sends. What goes out is gathered, and
// written once for all the answers of a turn (`flush`); a message that is copied into the gathered ones is sent as far as its
// sender is concerned. Long messages are written from where they are, one at a time, and are sent when the system has them: at once, if
// the socket has room. Handing over several would keep the memory of all of them until the last one has gone.
//
// Operations of one kind are served in the order of their submission. Closing cancels what is left.

import net from "node:net";
import type { Duplex } from "node:stream";
import { assert, ECANCELED, ECONNRESET, EIO, errnoFromCode, must } from "#core/base";
import type { HostOp } from "#core/sched";
import { intoBuffers } from "./accepted-socket.ts";
import { type LiveTls, liveHandshake } from "./live-handshake.ts";
import { contentsOf, copyBytes, copyFrom, dataOf } from "./op-memory.ts";

/** Hands the result of an operation back, later than its submission. */
export type Complete = (op: HostOp, ret: number) => void;

/** Received bytes for which nobody has asked yet: with more, nothing further is read. */
const AHEAD_BYTES = 128 * 1024;
/** What an accepted socket reads at a time. */
const CHUNK_BYTES = 128 * 1024;
/**
 * Bytes that are gathered before they are written: sixteen answers of 4 KiB with their heads, so that 32 of them are two writes. With more, a
 * client that has 32 short requests under way waits for the last of them.
 */
const GATHER_BYTES = 72 * 1024;
/** Buffers of gathered bytes that may be on their way. */
const GATHERS_MAX = 4;
/** Longer messages are not copied. */
const COPIED_BYTES_MAX = 16 * 1024;

/** How long the last bytes of a closed connection wait for a peer that does not read. */
const LAST_BYTES_MS_MAX = 3000;

/** What a connection tells its host. */
export interface ConnectionOptions {
  readonly complete: Complete;
  /** How the end with these credentials shakes hands. */
  readonly liveTls: (credentials: number) => LiveTls;
  /** There is something to flush. */
  readonly onDirty: (connection: Connection) => void;
}

/** Bytes that have come. `isOurs`: in memory that the socket was given, and gets again. */
interface Chunk {
  readonly memory: Buffer;
  readonly bytes: number;
  readonly isOurs: boolean;
}

export class Connection {
  /** What is read and written: the socket, or what encrypts it. */
  #stream: Duplex;
  readonly #options: ConnectionOptions;
  #connects: HostOp | null = null;
  #handshakes: HostOp | null = null;
  #isConnected = false;
  #isAtEnd = false;
  #error = 0;
  #isClosed = false;
  /** What has come and was not received yet; of the first chunk, the bytes before `#chunkAt` were. */
  readonly #chunks: Chunk[] = [];
  #chunkAt = 0;
  #ahead = 0;
  readonly #spareChunks: Buffer[] = [];
  /** The socket brings what has come by itself; `#isStopped`: not before it is asked, since there is enough ahead. */
  #isHeard = false;
  #isStopped = false;
  /** Receives that wait; the first one has `#received` bytes already. */
  readonly #receives: HostOp[] = [];
  #received = 0;
  /** Sends that wait for the system to take what was sent before: the long one that was written, and those that were not. */
  #written: HostOp | null = null;
  readonly #sends: HostOp[] = [];
  #gather: Buffer | null = null;
  #gathered = 0;
  readonly #spareGathers: Buffer[] = [];
  readonly #busyGathers: Buffer[] = [];

  /** `isAccepted`: a socket that nobody has read from, and that may be exchanged for another. */
  constructor(from: Duplex, options: ConnectionOptions, isAccepted = false) {
    this.#options = options;
    const ours = isAccepted && from instanceof net.Socket ? intoBuffers(from, this.#hearing) : null;
    const stream = ours ?? from;
    this.#stream = stream;
    this.#isHeard = ours !== null;
    if (stream instanceof net.Socket) stream.setNoDelay(true);
    this.#isConnected = !(stream instanceof net.Socket) || !stream.connecting;
    this.#listen();
  }

  readonly #listeners: Readonly<Record<string, (error: NodeJS.ErrnoException) => void>> = {
    connect: () => this.#connected(),
    readable: () => {
      this.#readAhead();
      this.#serve();
    },
    end: () => {
      this.#isAtEnd = true;
      this.#serve();
    },
    error: (error) => this.#failed(errnoFromCode(error.code)),
    close: () => {
      if (!this.#isAtEnd) this.#failed(ECONNRESET);
    },
  };

  readonly #hearing = {
    nextBuffer: () => this.#spareChunks.pop() ?? Buffer.allocUnsafeSlow(CHUNK_BYTES),
    heard: (bytes: number, memory: Buffer) => {
      this.#chunks.push({ memory, bytes, isOurs: true });
      this.#ahead += bytes;
      this.#serve();
      this.#isStopped = this.#ahead >= AHEAD_BYTES;
      return !this.#isStopped;
    },
  };

  #listen(): void {
    for (const [event, what] of Object.entries(this.#listeners)) this.#stream.on(event, what);
  }

  /** Begin `op`; its result when it is there at once, which `mayBeNow` allows. */
  submit(op: HostOp, mayBeNow: boolean): number | null {
    if (op.type === "recv") return this.#receive(op, mayBeNow);
    if (op.type === "send") return this.#send(op, mayBeNow);
    if (op.type === "handshake") return this.#handshake(op);
    assert(op.type === "connect", "a connection is made, sends and receives");
    this.#connects = op;
    if (this.#isConnected || this.#error !== 0) this.#connected();
    return null;
  }

  #connected(): void {
    this.#isConnected = true;
    const op = this.#connects;
    this.#connects = null;
    if (op !== null) this.#options.complete(op, -this.#error);
  }

  /** From here on the stream is the encrypted one; what came before that was not looked at goes into it. */
  #handshake(op: HostOp): null {
    const isIdle = this.#receives.length + this.#sends.length === 0 && this.#written === null;
    assert(isIdle, "nothing is under way");
    if (this.#error !== 0 || this.#isAtEnd) {
      this.#options.complete(op, -(this.#error || ECONNRESET));
      return null;
    }
    this.flush();
    this.#handshakes = op;
    const live = this.#options.liveTls(op.offset);
    liveHandshake(this.#unheard(), live, live.isServer ? "" : textIn(op), (result) => {
      if (this.#handshakes !== op) return;
      this.#handshakes = null;
      if (result.stream === null) {
        this.#error = result.errno;
        const { why } = result;
        this.#options.complete(op, why === undefined ? -result.errno : putText(why, op));
        return;
      }
      this.#stream = result.stream;
      this.#isHeard = false;
      this.#listen();
      this.#options.complete(op, putText(result.peer, op));
    });
    return null;
  }

  /** The stream, to which we do not listen any more; it has back what came and nobody has received. */
  #unheard(): Duplex {
    const stream = this.#stream;
    for (const [event, what] of Object.entries(this.#listeners)) stream.off(event, what);
    if (this.#ahead > 0) {
      const pieces = this.#chunks.map(({ memory, bytes }) => memory.subarray(0, bytes));
      stream.unshift(Buffer.concat(pieces).subarray(this.#chunkAt));
    }
    this.#chunks.length = 0;
    this.#chunkAt = 0;
    this.#ahead = 0;
    return stream;
  }

  // ---- Receiving -----------------------------------------------------------------------------------------------------

  /** Take what the stream has, unless there is enough; it then reads on by itself. */
  #readAhead(): void {
    if (this.#isHeard) {
      if (this.#isStopped && this.#ahead < AHEAD_BYTES) {
        this.#isStopped = false;
        this.#stream.read(0);
      }
      return;
    }
    while (this.#ahead < AHEAD_BYTES) {
      const chunk = this.#stream.read() as Buffer | null;
      if (chunk === null) return;
      this.#chunks.push({ memory: chunk, bytes: chunk.length, isOurs: false });
      this.#ahead += chunk.length;
    }
  }

  #receive(op: HostOp, mayBeNow: boolean): number | null {
    if (mayBeNow && this.#receives.length === 0) {
      this.#take(op);
      if (this.#isServed(op)) return this.#served();
    }
    this.#receives.push(op);
    this.#serve();
    return null;
  }

  /** Give what has come to those that wait for it. */
  #serve(): void {
    for (let op = this.#receives[0]; op !== undefined; op = this.#receives[0]) {
      this.#take(op);
      if (!this.#isServed(op)) return;
      this.#receives.shift();
      this.#options.complete(op, this.#served());
    }
  }

  #isServed(op: HostOp): boolean {
    return this.#received >= op.offset || this.#isAtEnd || this.#error !== 0;
  }

  /** The result of the receive that has all it gets. */
  #served(): number {
    const ret = this.#received === 0 && this.#error !== 0 ? -this.#error : this.#received;
    this.#received = 0;
    return ret;
  }

  #take(op: HostOp): void {
    const data = dataOf(op);
    while (this.#received < op.bytes) {
      if (this.#ahead === 0) this.#readAhead();
      if (this.#ahead === 0) return;
      const chunk = must(this.#chunks[0], "what is ahead is in a chunk");
      const bytes = Math.min(op.bytes - this.#received, chunk.bytes - this.#chunkAt);
      const to = op.iovOffset + this.#received;
      copyBytes(chunk.memory, this.#chunkAt, data, to, bytes);
      this.#received += bytes;
      this.#ahead -= bytes;
      this.#chunkAt += bytes;
      if (this.#chunkAt < chunk.bytes) continue;
      this.#chunks.shift();
      this.#chunkAt = 0;
      if (!chunk.isOurs) continue;
      this.#spareChunks.push(chunk.memory);
      this.#readAhead();
    }
  }

  // ---- Sending -------------------------------------------------------------------------------------------------------

  #send(op: HostOp, mayBeNow: boolean): number | null {
    const isNow = mayBeNow && this.#sends.length === 0 && this.#written === null;
    if (this.#error !== 0 && isNow) return -this.#error;
    if (isNow && (op.bytes > COPIED_BYTES_MAX ? this.#write(op) : this.#copy(op))) return 0;
    if (this.#written === op) return null;
    this.#sends.push(op);
    this.#sendWaiting();
    return null;
  }

  /** Copy a short message behind the gathered ones; false when too many of those wait for the system. */
  #copy(op: HostOp): boolean {
    if (this.#gathered + op.bytes > GATHER_BYTES) this.flush();
    if (this.#gather === null) {
      if (this.#busyGathers.length >= GATHERS_MAX) return false;
      this.#gather = this.#spareGathers.pop() ?? Buffer.allocUnsafeSlow(GATHER_BYTES);
    }
    if (this.#gathered === 0) this.#options.onDirty(this);
    copyFrom(op, this.#gather, this.#gathered);
    this.#gathered += op.bytes;
    return true;
  }

  /** Hand what was gathered to the system. */
  flush(): void {
    const gather = this.#gather;
    if (gather === null) return;
    this.#gather = null;
    const bytes = this.#gathered;
    this.#gathered = 0;
    this.#stream.write(gather.subarray(0, bytes), this.#onWritten);
    if (this.#stream.writableLength === 0) this.#spareGathers.push(gather);
    else this.#busyGathers.push(gather);
  }

  /** Write a long message behind what was gathered; false when the system has not taken all of it yet. */
  #write(op: HostOp): boolean {
    this.flush();
    this.#stream.write(contentsOf(op), this.#onWritten);
    if (this.#stream.writableLength > 0) this.#written = op;
    return this.#written === null;
  }

  #sendWaiting(): void {
    for (let op = this.#sends[0]; op !== undefined; op = this.#sends[0]) {
      if (this.#written !== null) return;
      const isLong = op.bytes > COPIED_BYTES_MAX;
      if (this.#error === 0 && !isLong && !this.#copy(op)) return;
      this.#sends.shift();
      if (this.#error !== 0) this.#options.complete(op, -this.#error);
      else if (!isLong || this.#write(op)) this.#options.complete(op, 0);
    }
  }

  /** Some of it has gone; when all has, its memory is free. */
  readonly #onWritten = (): void => {
    if (this.#stream.writableLength > 0) return;
    this.#spareGathers.push(...this.#busyGathers.splice(0));
    this.#writtenIs(-this.#error);
    this.#sendWaiting();
  };

  /** The long message that was on its way is sent, or never will be. */
  #writtenIs(ret: number): void {
    const op = this.#written;
    this.#written = null;
    if (op !== null) this.#options.complete(op, ret);
  }

  // ---- The end -------------------------------------------------------------------------------------------------------

  #failed(errno: number): void {
    if (this.#error !== 0 || this.#isClosed) return;
    this.#error = errno;
    this.#connected();
    this.#serve();
    this.#writtenIs(-errno);
    this.#sendWaiting();
  }

  close(): void {
    this.flush();
    this.#isClosed = true;
    this.#writtenIs(-ECANCELED);
    const left = [...this.#receives.splice(0), ...this.#sends.splice(0)];
    if (this.#connects !== null) left.push(this.#connects);
    if (this.#handshakes !== null) left.push(this.#handshakes);
    this.#connects = null;
    this.#handshakes = null;
    for (const op of left) this.#options.complete(op, -ECANCELED);
    this.#stream.on("finish", () => this.#stream.destroy());
    this.#stream.end();
    // A peer that never reads its last bytes must not keep the descriptor, nor the process.
    if (this.#stream.writableLength === 0) this.#stream.destroy();
    else {
      const timer = setTimeout(() => this.#stream.destroy(), LAST_BYTES_MS_MAX);
      this.#stream.on("close", () => clearTimeout(timer));
    }
  }
}

/** What the core has to say with a handshake: a text that ends with a zero. */
function textIn(op: HostOp): string {
  const bytes = contentsOf(op);
  return Buffer.from(bytes.subarray(0, bytes.indexOf(0))).toString();
}

/** Where the peer's name goes, or what is wrong; what has no room there is nobody's. */
function putText(text: string, op: HostOp): number {
  const name = Buffer.from(text);
  if (name.length > op.bytes) return -EIO;
  contentsOf(op).set(name);
  return name.length;
}
