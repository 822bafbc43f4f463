// The sockets of the live host: TCP and unix sockets, standard input and output, and descriptors that were inherited.
// Connections are in live-connection.ts.

import { existsSync, lstatSync, rmSync } from "node:fs";
import net from "node:net";
import { dirname } from "node:path";
import type { Duplex } from "node:stream";
import {
  assert,
  ECANCELED,
  EINVAL,
  ENOENT,
  errnoFromCode,
  type HostHandle,
  must,
} from "#core/base";
import type { HostOp, SocketAddress } from "#core/sched";
import { type Complete, Connection, type ConnectionOptions } from "./live-connection.ts";
import type { LiveTls } from "./live-handshake.ts";
import { stdioStream } from "./stdio-stream.ts";

/** Connections that wait to be accepted. */
const BACKLOG_MAX = 128;

/** What the sockets need of the host. */
export interface LiveSocketsOptions {
  readonly complete: Complete;
  readonly newHandle: () => HostHandle;
  /** How a server with these credentials shakes hands. */
  readonly liveTls: (credentials: number) => LiveTls;
}

/** Every socket of one host, by handle. */
export class LiveSockets {
  readonly #sockets = new Map<number, Listener | Connection>();
  readonly #options: LiveSocketsOptions;
  readonly #connectionOptions: ConnectionOptions;
  /** Connections that are open. */
  connections = 0;
  /** Connections that have gathered what is to be sent. */
  readonly #dirty: Connection[] = [];

  constructor(options: LiveSocketsOptions) {
    this.#options = options;
    this.#connectionOptions = { ...options, onDirty: (one) => this.#dirty.push(one) };
  }

  has(handle: HostHandle): boolean {
    return this.#sockets.has(handle);
  }

  /** The call `socket`. */
  open(address: SocketAddress, listens: boolean): HostHandle {
    return this.#add(
      listens
        ? new Listener(address, this.#options.complete, (stream) => this.#connection(stream))
        : new Connection(streamTo(address), this.#connectionOptions),
    );
  }

  #connection(stream: net.Socket): HostHandle {
    return this.#add(new Connection(stream, this.#connectionOptions, true));
  }

  #add(socket: Listener | Connection): HostHandle {
    const handle = this.#options.newHandle();
    this.#sockets.set(handle, socket);
    if (socket instanceof Connection) this.connections++;
    return handle;
  }

  /** Begin `op`; its result when it is there at once, which `mayBeNow` allows. */
  submit(op: HostOp, mayBeNow: boolean): number | null {
    return must(this.#sockets.get(op.handle), "operations go to open sockets").submit(op, mayBeNow);
  }

  /** Send what was gathered: before libuv gets its turn. */
  flush(): void {
    if (this.#dirty.length > 0) for (const one of this.#dirty.splice(0)) one.flush();
  }

  close(handle: HostHandle): void {
    const socket = must(this.#sockets.get(handle), "an open socket is closed");
    socket.close();
    this.#sockets.delete(handle);
    if (socket instanceof Connection) this.connections--;
  }

  closeAll(): void {
    for (const socket of this.#sockets.values()) socket.close();
    this.#sockets.clear();
    this.connections = 0;
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

  submit(op: HostOp): null {
    if (op.type === "connect") {
      this.#listen(op);
      return null;
    }
    assert(op.type === "accept", "a listener accepts");
    this.#accepts.push(op);
    this.#match();
    return null;
  }

  #listen(op: HostOp): void {
    const server = this.#server;
    const failed = (error: NodeJS.ErrnoException) =>
      this.#complete(op, -bindErrno(this.#address, error));
    server.once("error", failed);
    removeLeftover(this.#address);
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

/** unix_listen_saddr (util/qemu-sockets.c): a socket in its place, which a killed process left, makes room; another file does not. */
function removeLeftover(address: SocketAddress): void {
  if (address.type !== "unix") return;
  try {
    if (lstatSync(address.path).isSocket()) rmSync(address.path);
  } catch {
    // There is none, or it cannot be removed: listening says why.
  }
}

/** Of a folder that is not there libuv says EACCES, as Windows would. */
function bindErrno(address: SocketAddress, { code }: NodeJS.ErrnoException): number {
  const isNowhere = address.type === "unix" && !existsSync(dirname(address.path));
  return code === "EACCES" && isNowhere ? ENOENT : errnoFromCode(code);
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
