// The sockets of the live host: TCP and unix sockets, standard input and output, and descriptors that were inherited.
//
// Nothing is read ahead of need beyond what one buffer of Node's holds: a client that is not read from is not received from, so
// that memory stays bounded however fast it sends. Operations are served in the order of their submission, one kind from the other
// apart; closing cancels what is left.

import net from "node:net";
import type { Duplex } from "node:stream";
import type tls from "node:tls";
import {
  assert,
  ECANCELED,
  ECONNRESET,
  EINVAL,
  EIO,
  errnoFromCode,
  type HostHandle,
  must,
} from "#core/base";
import type { HostOp, SocketAddress } from "#core/sched";
import { serverHandshake } from "./live-handshake.ts";
import { stdioStream } from "./stdio-stream.ts";

/** Connections that wait to be accepted. */
const BACKLOG_MAX = 128;

/** Hands the result of an operation back. */
export type Complete = (op: HostOp, ret: number) => void;

/** What the sockets need of the host. */
export interface LiveSocketsOptions {
  readonly complete: Complete;
  readonly newHandle: () => HostHandle;
  /** How a server with these credentials shakes hands. */
  readonly tlsOptions: (credentials: number) => tls.TlsOptions;
}

/** Every socket of one host, by handle. */
export class LiveSockets {
  readonly #sockets = new Map<number, Listener | Connection>();
  readonly #options: LiveSocketsOptions;

  constructor(options: LiveSocketsOptions) {
    this.#options = options;
  }

  has(handle: HostHandle): boolean {
    return this.#sockets.has(handle);
  }

  /** The call `socket`. */
  open(address: SocketAddress, listens: boolean): HostHandle {
    return this.#add(
      listens
        ? new Listener(address, this.#options.complete, (stream) => this.#connection(stream))
        : new Connection(streamTo(address), this.#options),
    );
  }

  #connection(stream: net.Socket): HostHandle {
    return this.#add(new Connection(stream, this.#options));
  }

  #add(socket: Listener | Connection): HostHandle {
    const handle = this.#options.newHandle();
    this.#sockets.set(handle, socket);
    return handle;
  }

  submit(op: HostOp): void {
    must(this.#sockets.get(op.handle), "operations go to open sockets").submit(op);
  }

  close(handle: HostHandle): void {
    must(this.#sockets.get(handle), "an open socket is closed").close();
    this.#sockets.delete(handle);
  }

  closeAll(): void {
    for (const socket of this.#sockets.values()) socket.close();
    this.#sockets.clear();
  }
}

/** A listening socket, and the connections that nobody has accepted yet. */
class Listener {
  readonly #server: net.Server;
  readonly #complete: Complete;
  readonly #address: SocketAddress;
  readonly #accepts: HostOp[] = [];
  readonly #waiting: net.Socket[] = [];
  readonly #adopt: (stream: net.Socket) => HostHandle;

  constructor(
    address: SocketAddress,
    complete: Complete,
    adopt: (stream: net.Socket) => HostHandle,
  ) {
    this.#address = address;
    this.#complete = complete;
    this.#adopt = adopt;
    this.#server = net.createServer({ pauseOnConnect: true, allowHalfOpen: true }, (stream) => {
      // Node accepts for the kernel, which would let them wait: so many, and no more.
      if (this.#waiting.length >= BACKLOG_MAX) stream.destroy();
      else this.#waiting.push(stream);
      this.#match();
    });
    this.#server.maxConnections = Number.POSITIVE_INFINITY;
  }

  submit(op: HostOp): void {
    if (op.type === "connect") {
      this.#listen(op);
      return;
    }
    assert(op.type === "accept", "a listener accepts");
    this.#accepts.push(op);
    this.#match();
  }

  #listen(op: HostOp): void {
    const server = this.#server;
    const failed = (error: NodeJS.ErrnoException) => this.#complete(op, -errnoFromCode(error.code));
    server.once("error", failed);
    server.listen(listenOptions(this.#address), () => {
      server.off("error", failed);
      // Later errors (no more descriptors) concern connections that never were.
      server.on("error", () => undefined);
      const bound = server.address();
      this.#complete(op, bound !== null && typeof bound === "object" ? bound.port : 0);
    });
  }

  #match(): void {
    while (this.#accepts.length > 0 && this.#waiting.length > 0) {
      const op = must(this.#accepts.shift(), "an accept waits");
      const stream = must(this.#waiting.shift(), "a connection waits");
      this.#complete(op, this.#adopt(stream));
    }
  }

  close(): void {
    this.#server.close();
    for (const stream of this.#waiting.splice(0)) stream.destroy();
    for (const op of this.#accepts.splice(0)) this.#complete(op, -ECANCELED);
  }
}

/** One end of a connection. */
class Connection {
  /** What is read and written: the socket, or what encrypts it. */
  #stream: Duplex;
  readonly #complete: Complete;
  readonly #options: LiveSocketsOptions;
  #connects: HostOp | null = null;
  #handshakes: HostOp | null = null;
  #isConnected = false;
  /** Receives that wait; of the first, `#received` bytes have come. */
  readonly #receives: HostOp[] = [];
  readonly #sends = new Set<HostOp>();
  #received = 0;
  #isAtEnd = false;
  #error = 0;
  #isClosed = false;

  constructor(stream: Duplex, options: LiveSocketsOptions) {
    this.#stream = stream;
    this.#complete = options.complete;
    this.#options = options;
    if (stream instanceof net.Socket) stream.setNoDelay(true);
    this.#isConnected = !(stream instanceof net.Socket) || !stream.connecting;
    this.#listen();
  }

  readonly #listeners: Readonly<Record<string, (error: NodeJS.ErrnoException) => void>> = {
    connect: () => this.#connected(),
    readable: () => this.#serve(),
    end: () => {
      this.#isAtEnd = true;
      this.#serve();
    },
    error: (error) => this.#failed(errnoFromCode(error.code)),
    close: () => {
      if (!this.#isAtEnd) this.#failed(ECONNRESET);
    },
  };

  #listen(): void {
    for (const [event, what] of Object.entries(this.#listeners)) this.#stream.on(event, what);
  }

  submit(op: HostOp): void {
    if (op.type === "connect") {
      this.#connects = op;
      if (this.#isConnected || this.#error !== 0) this.#connected();
    } else if (op.type === "recv") {
      this.#receives.push(op);
      this.#serve();
    } else if (op.type === "handshake") {
      this.#handshake(op);
    } else {
      assert(op.type === "send", "a connection sends and receives");
      this.#send(op);
    }
  }

  #connected(): void {
    this.#isConnected = true;
    const op = this.#connects;
    this.#connects = null;
    if (op !== null) this.#complete(op, -this.#error);
  }

  /** From here on the stream is the encrypted one; what came before that was not looked at goes into it. */
  #handshake(op: HostOp): void {
    assert(this.#receives.length === 0 && this.#sends.size === 0, "nothing is under way");
    if (this.#error !== 0 || this.#isAtEnd) {
      this.#complete(op, -(this.#error || ECONNRESET));
      return;
    }
    this.#handshakes = op;
    const plain = this.#stream;
    for (const [event, what] of Object.entries(this.#listeners)) plain.off(event, what);
    serverHandshake(plain, this.#options.tlsOptions(op.offset), (result) => {
      if (this.#handshakes !== op) return;
      this.#handshakes = null;
      if (result.stream === null) {
        this.#error = result.errno;
        this.#complete(op, -result.errno);
        return;
      }
      this.#stream = result.stream;
      this.#listen();
      this.#complete(op, putName(result.peer, op));
    });
  }

  /** Give what has come to those that wait for it. */
  #serve(): void {
    for (let op = this.#receives[0]; op !== undefined; op = this.#receives[0]) {
      this.#take(op);
      const isDone = this.#received >= op.offset || this.#isAtEnd || this.#error !== 0;
      if (!isDone) return;
      this.#receives.shift();
      const ret = this.#received === 0 && this.#error !== 0 ? -this.#error : this.#received;
      this.#received = 0;
      this.#complete(op, ret);
    }
  }

  #take(op: HostOp): void {
    const data = contentsOf(op);
    while (this.#received < op.bytes) {
      const there = this.#stream.readableLength;
      if (there === 0) break;
      const chunk = this.#stream.read(Math.min(there, op.bytes - this.#received)) as Buffer | null;
      if (chunk === null) break;
      data.set(chunk, this.#received);
      this.#received += chunk.length;
    }
    // Asking for more than there is makes the stream read on, and tells it that its end is looked for.
    if (this.#received < op.offset && !this.#isAtEnd) this.#stream.read(0);
  }

  #send(op: HostOp): void {
    if (this.#error !== 0) {
      this.#complete(op, -this.#error);
      return;
    }
    this.#sends.add(op);
    this.#stream.write(contentsOf(op), (error) => {
      if (!this.#sends.delete(op)) return;
      this.#complete(op, error ? -errnoFromCode((error as NodeJS.ErrnoException).code) : 0);
    });
  }

  #failed(errno: number): void {
    if (this.#error !== 0 || this.#isClosed) return;
    this.#error = errno;
    this.#connected();
    this.#serve();
    for (const op of this.#sends) this.#complete(op, -errno);
    this.#sends.clear();
  }

  close(): void {
    this.#isClosed = true;
    const left = [...this.#receives.splice(0), ...this.#sends];
    if (this.#connects !== null) left.push(this.#connects);
    if (this.#handshakes !== null) left.push(this.#handshakes);
    this.#sends.clear();
    this.#connects = null;
    this.#handshakes = null;
    for (const op of left) this.#complete(op, -ECANCELED);
    this.#stream.on("finish", () => this.#stream.destroy());
    this.#stream.end();
    // A peer that never reads its last bytes must not keep the descriptor.
    if (this.#stream.writableLength === 0) this.#stream.destroy();
  }
}

function contentsOf({ iov, iovOffset, bytes }: HostOp): Uint8Array {
  const data = must(
    must(iov, "bytes are moved from or to a buffer").data,
    "live memory has contents",
  );
  return data.subarray(iovOffset, iovOffset + bytes);
}

/** Where the peer's name goes; one that has no room there is nobody's. */
function putName(peer: string, op: HostOp): number {
  const name = Buffer.from(peer);
  if (name.length > op.bytes) return -EIO;
  contentsOf(op).set(name);
  return name.length;
}

function listenOptions(address: SocketAddress): net.ListenOptions & { fd?: number } {
  switch (address.type) {
    case "unix":
      return { path: address.path };
    case "inet":
      return { host: address.host, port: address.port };
    case "fd":
      return { fd: address.fd };
    case "stdio":
      throw Object.assign(new Error("stdio"), { code: "EINVAL", errno: EINVAL });
  }
}

function streamTo(address: SocketAddress): Duplex {
  switch (address.type) {
    case "unix":
      return net.connect({ path: address.path, allowHalfOpen: true });
    case "inet":
      return net.connect({ host: address.host, port: address.port, allowHalfOpen: true });
    case "fd":
      return new net.Socket({ fd: address.fd, allowHalfOpen: true });
    case "stdio":
      return stdioStream();
  }
}
