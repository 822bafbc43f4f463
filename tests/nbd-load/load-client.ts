// An NBD client for tests, over a unix socket: requests as promises, many at once. It knows simple replies only.

import net from "node:net";
import { protocol as nbd } from "#daemon/nbd";

/** The connection is over; what was not answered never will be. */
export class ConnectionOver extends Error {}

interface Waiting {
  readonly bytes: number;
  readonly resolve: (data: Buffer) => void;
  readonly reject: (error: Error) => void;
}

/** A client that has opened an export. */
export class LoadClient {
  readonly #socket: net.Socket;
  #received: Buffer = Buffer.alloc(0);
  #cookie = 0n;
  readonly #waiting = new Map<bigint, Waiting>();
  #wants: { readonly bytes: number; readonly resolve: (data: Buffer) => void } | null = null;
  #failed: (error: Error) => void = () => undefined;
  #isOpen = false;
  isOver = false;

  private constructor(socket: net.Socket) {
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => {
      this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
      if (this.#isOpen) this.#answers();
      else this.#wanted();
    });
    socket.on("error", () => undefined);
    socket.on("close", () => this.#over());
  }

  /** Connect to `path` and open `name`. */
  static async open(path: string, name: string): Promise<LoadClient> {
    const client = new LoadClient(net.connect(path));
    await client.#handshake(name);
    return client;
  }

  async #handshake(name: string): Promise<void> {
    await this.#take(18);
    const data = Buffer.from(name);
    const message = Buffer.alloc(4 + 16 + data.length);
    message.writeUInt32BE(3, 0);
    message.writeBigUInt64BE(nbd.IHAVEOPT, 4);
    message.writeUInt32BE(nbd.NBD_OPT_EXPORT_NAME, 12);
    message.writeUInt32BE(data.length, 16);
    data.copy(message, 20);
    this.#socket.write(message);
    await this.#take(10);
    this.#isOpen = true;
  }

  #take(bytes: number): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.#wants = { bytes, resolve };
      this.#failed = reject;
      if (this.isOver) reject(new ConnectionOver());
      this.#wanted();
    });
  }

  #wanted(): void {
    if (this.#wants === null || this.#received.length < this.#wants.bytes) return;
    const { bytes, resolve } = this.#wants;
    this.#wants = null;
    const data = this.#received.subarray(0, bytes);
    this.#received = this.#received.subarray(bytes);
    resolve(data);
  }

  #answers(): void {
    while (this.#received.length >= 16) {
      const cookie = this.#received.readBigUInt64BE(8);
      const error = this.#received.readUInt32BE(4);
      const waiting = this.#waiting.get(cookie);
      if (waiting === undefined) throw new Error("an answer to what nobody asked");
      const bytes = error === 0 ? waiting.bytes : 0;
      if (this.#received.length < 16 + bytes) return;
      const data = this.#received.subarray(16, 16 + bytes);
      this.#received = this.#received.subarray(16 + bytes);
      this.#waiting.delete(cookie);
      if (error === 0) waiting.resolve(data);
      else waiting.reject(new Error(`the server answered error ${error}`));
    }
  }

  #over(): void {
    this.isOver = true;
    this.#failed(new ConnectionOver());
    for (const { reject } of this.#waiting.values()) reject(new ConnectionOver());
    this.#waiting.clear();
  }

  #request(type: number, flags: number, from: number, length: number, payload?: Buffer) {
    return new Promise<Buffer>((resolve, reject) => {
      if (this.isOver) {
        reject(new ConnectionOver());
        return;
      }
      const cookie = this.#cookie++;
      const head = Buffer.alloc(28);
      head.writeUInt32BE(nbd.NBD_REQUEST_MAGIC, 0);
      head.writeUInt16BE(flags, 4);
      head.writeUInt16BE(type, 6);
      head.writeBigUInt64BE(cookie, 8);
      head.writeBigUInt64BE(BigInt(from), 16);
      head.writeUInt32BE(length, 24);
      const bytes = type === nbd.NBD_CMD_READ ? length : 0;
      this.#waiting.set(cookie, { bytes, resolve, reject });
      this.#socket.write(payload === undefined ? head : Buffer.concat([head, payload]));
    });
  }

  read(from: number, length: number): Promise<Buffer> {
    return this.#request(nbd.NBD_CMD_READ, 0, from, length);
  }

  async write(from: number, data: Buffer, fua = false): Promise<void> {
    const flags = fua ? nbd.NBD_CMD_FLAG_FUA : 0;
    await this.#request(nbd.NBD_CMD_WRITE, flags, from, data.length, data);
  }

  async zero(from: number, length: number, fua = false): Promise<void> {
    const flags = fua ? nbd.NBD_CMD_FLAG_FUA : 0;
    await this.#request(nbd.NBD_CMD_WRITE_ZEROES, flags, from, length);
  }

  async flush(): Promise<void> {
    await this.#request(nbd.NBD_CMD_FLUSH, 0, 0, 0);
  }

  /** Say goodbye; or, rudely, nothing. */
  close({ rudely = false } = {}): void {
    if (rudely) this.#socket.destroy();
    else {
      void this.#request(nbd.NBD_CMD_DISC, 0, 0, 0).catch(() => undefined);
      this.#socket.end();
    }
  }
}
