// The NBD client against a server that does not keep to the protocol: the request fails, nothing else does, and what was meant in
// another way is not taken for data.

import net from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { runQemuIo } from "./qemu-io-lines.ts";
import {
  daemonFolder,
  expectSound,
  qmpClient,
  removeFolder,
  startDaemon,
} from "./running-daemon.ts";

const CHUNKS = 0x668e_33ef;
const BYTES = 4096;

/** Fields of a message: how many bytes, and the number. */
function bytesOf(...fields: readonly (readonly [1 | 2 | 4 | 8, number])[]): Buffer {
  return Buffer.concat(
    fields.map(([bytes, value]) => {
      const one = Buffer.alloc(8);
      one.writeBigUInt64BE(BigInt(value));
      return one.subarray(8 - bytes);
    }),
  );
}

/** What the server does instead of what it should. */
interface Fault {
  readonly context?: string;
  /** The answer to a read of so many bytes at an offset, with that handle. */
  readonly read?: (handle: Buffer, offset: number, length: number) => Buffer;
}

const chunk = (handle: Buffer, type: number, payload: Buffer, length = payload.length) =>
  Buffer.concat([bytesOf([4, CHUNKS], [2, 1], [2, type]), handle, bytesOf([4, length]), payload]);

const data = (handle: Buffer, offset: number, length: number) =>
  chunk(handle, 1, Buffer.concat([bytesOf([8, offset]), Buffer.alloc(length, 7)]));

const reads = (read: NonNullable<Fault["read"]>): Fault => ({ read });

const FAULTS: readonly (readonly [string, Fault])[] = [
  [
    "a simple answer where chunks were agreed on",
    reads((handle, _offset, length) =>
      Buffer.concat([bytesOf([4, 0x6744_6698], [4, 0]), handle, Buffer.alloc(length, 7)]),
    ),
  ],
  ["another handle", reads((_handle, ...range) => data(Buffer.alloc(8, 0x55), ...range))],
  ["data behind the request", reads((handle, offset, length) => data(handle, offset + 1, length))],
  ["a chunk of four gigabytes", reads((handle) => chunk(handle, 1, Buffer.alloc(64), 2 ** 32 - 1))],
  [
    "a hole that is longer than the request",
    reads((handle, offset) => chunk(handle, 2, bytesOf([8, offset], [4, 2 ** 32 - 1]))),
  ],
  ["a chunk of no known kind", reads((handle) => chunk(handle, 99, Buffer.alloc(4)))],
  ["no magic number", reads(() => Buffer.alloc(64, 0x21))],
];

/** A server of one export, with a fault. */
function faulty(path: string, { context = "base:allocation", read = data }: Fault): net.Server {
  const serve = (socket: net.Socket) => {
    let heard = Buffer.alloc(0);
    let phase: "flags" | "options" | "requests" = "flags";
    const option = (type: number) => {
      const answer = (kind: number, payload: Buffer = Buffer.alloc(0)) => {
        const front = bytesOf([4, 0x3_e889], [4, 0x0455_65a9], [4, type], [4, kind]);
        socket.write(Buffer.concat([front, bytesOf([4, payload.length]), payload]));
      };
      if (type === 10) answer(4, Buffer.concat([bytesOf([4, 1]), Buffer.from(context)]));
      if (type === 7) answer(3, bytesOf([2, 0], [8, 1 << 20], [2, 0x3]));
      answer(1);
      if (type === 7) phase = "requests";
    };
    const request = (head: Buffer) => {
      const handle = head.subarray(8, 16);
      const [type, length] = [head.readUInt16BE(6), head.readUInt32BE(24)];
      if (type === 0) socket.write(read(handle, Number(head.readBigUInt64BE(16)), length));
      if (type === 7) socket.write(chunk(handle, 5, bytesOf([4, 1], [4, length], [4, 0])));
    };
    /** Bytes of the next message; 0 while that is not known. */
    const wanted = () => {
      if (phase === "flags") return 4;
      if (phase === "requests") return 28;
      return heard.length < 16 ? 0 : 16 + heard.readUInt32BE(12);
    };
    socket.on("error", () => undefined);
    socket.on("data", (piece: Buffer) => {
      heard = Buffer.concat([heard, piece]);
      for (let bytes = wanted(); bytes > 0 && heard.length >= bytes; bytes = wanted()) {
        const head = heard.subarray(0, bytes);
        heard = heard.subarray(bytes);
        if (phase === "requests") request(head);
        else if (phase === "options") option(head.readUInt32BE(8));
        else phase = "options";
      }
    });
    socket.write("NBDMAGICIHAVEOPT\0\u0003");
  };
  return net.createServer(serve).listen(path);
}

let folder: string;
const servers: net.Server[] = [];
beforeEach(() => {
  folder = daemonFolder();
});
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
  removeFolder(folder);
});

const remote = (path: string) => ({
  ...{ driver: "nbd", "node-name": "remote", "read-only": true },
  server: { type: "unix", path },
});

describe("a server that does not keep to the protocol", () => {
  it("costs the request, and the connection, and no more", async () => {
    const daemon = await startDaemon(folder, []);
    const qmp = await qmpClient(join(folder, "qmp.sock"));
    const faults: readonly (readonly [string, Fault])[] = [["nothing", {}], ...FAULTS];
    for (const [index, [what, fault]] of faults.entries()) {
      const path = join(folder, `${index}.sock`);
      servers.push(faulty(path, fault));
      await qmp.execute("blockdev-add", remote(path));
      const said = await runQemuIo({ daemon, qmp }, "remote", [`read -P 7 0 ${BYTES}`]);
      const right = `read ${BYTES}/${BYTES} bytes at offset 0`;
      expect(said, what).toEqual([
        what === "nothing" ? right : expect.stringMatching(/^read failed/),
      ]);
      await qmp.execute("blockdev-del", { "node-name": "remote" });
    }
    await qmp.execute("quit");
    expect(await daemon.ended).toBe(0);
    await expectSound(daemon.trace());
  });

  it("is not believed when it answers about another context than was asked for", async () => {
    const daemon = await startDaemon(folder, []);
    const qmp = await qmpClient(join(folder, "qmp.sock"));
    const path = join(folder, "other.sock");
    servers.push(faulty(path, { context: "other:thing" }));
    expect(await qmp.refusal("blockdev-add", remote(path) as never)).toBe(
      "GenericError: Failed to negotiate meta context 'base:allocation', server answered with different context 'other:thing'",
    );
    await qmp.execute("quit");
    expect(await daemon.ended).toBe(0);
    await expectSound(daemon.trace());
  });
});
