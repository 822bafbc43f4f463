// A client of NBD that asks, and hears nothing before it is told to; its messages are bytes.

import net from "node:net";
import { protocol as nbd } from "#daemon/nbd";

/** What a client of fixed newstyle begins with. */
export const HELLO = Buffer.from([
  0,
  0,
  0,
  nbd.NBD_FLAG_C_FIXED_NEWSTYLE | nbd.NBD_FLAG_C_NO_ZEROES,
]);
/** The end of the answer to GO. */
export const OPENED = Buffer.from("000000070000000100000000", "hex");

/** An option of the handshake. */
export function option(type: number, data = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(16);
  head.writeBigUInt64BE(nbd.IHAVEOPT);
  head.writeUInt32BE(type, 8);
  head.writeUInt32BE(data.length, 12);
  return Buffer.concat([head, data]);
}

/** GO to the export of that name. */
export function goTo(name: string): Buffer {
  const data = Buffer.alloc(4 + name.length + 2);
  data.writeUInt32BE(name.length);
  data.write(name, 4);
  return option(nbd.NBD_OPT_GO, data);
}

/** A read from the start. */
export function read(bytes: number): Buffer {
  const message = Buffer.alloc(nbd.NBD_REQUEST_BYTES);
  message.writeUInt32BE(nbd.NBD_REQUEST_MAGIC);
  message.writeUInt32BE(bytes, 24);
  return message;
}

/** A socket that reads nothing before it hears; a stream by itself reads ahead, now more and now less. */
export class DeafSocket extends net.Socket {
  #hears = false;

  override _read(size: number): void {
    if (this.#hears) super._read(size);
  }

  hear(): void {
    this.#hears = true;
    super._read(0);
  }
}

/** Connected to `path`, where it has said all of `messages`. */
export function deafSocket(path: string, messages: readonly Buffer[]): DeafSocket {
  const socket = new DeafSocket();
  socket.on("error", () => undefined);
  socket.connect(path).write(Buffer.concat(messages));
  return socket;
}
