import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ByteCount, ByteOffset, HostHandle, OpId } from "#core/base";
import { GuestBuffer, type HostOp } from "#core/sched";
import { Connection } from "./live-connection.ts";

const TOTAL_BYTES = 1 << 20;
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "quiesce-connection-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** An accepted connection, and the client that made it. */
async function connected() {
  const path = join(folder, "socket");
  const server = net.createServer({ pauseOnConnect: true, allowHalfOpen: true }).listen(path);
  await once(server, "listening");
  const client = net.connect(path);
  const [accepted] = (await once(server, "connection")) as [net.Socket];
  server.close();
  const waiting = new Map<OpId, (ret: number) => void>();
  const options = {
    complete: ({ id }: HostOp, ret: number) => waiting.get(id)?.(ret),
    liveTls: () => ({ isServer: true as const, options: {} }),
    onDirty: () => undefined,
  };
  const connection = new Connection(accepted, options, true);
  let last = 0;
  /** At least `least` bytes, at most all of `into`; what the operation returned. */
  const receive = (into: GuestBuffer, least = into.length) =>
    new Promise<number>((resolve) => {
      const id = ++last as OpId;
      waiting.set(id, resolve);
      const op: HostOp = {
        id,
        type: "recv",
        handle: 1 as HostHandle,
        offset: least as ByteOffset,
        bytes: into.length as ByteCount,
        iov: into,
        iovOffset: 0,
      };
      const now = connection.submit(op, true);
      if (now !== null) resolve(now);
    });
  /** All of `from`; what the operation returned, and whether that was at once. */
  const send = (from: GuestBuffer, onSent: (ret: number) => void): boolean => {
    const id = ++last as OpId;
    waiting.set(id, onSent);
    const [handle, offset, bytes] = [1 as HostHandle, 0 as ByteOffset, from.length as ByteCount];
    const now = connection.submit(
      { id, type: "send", handle, offset, bytes, iov: from, iovOffset: 0 },
      true,
    );
    if (now !== null) onSent(now);
    return now !== null;
  };
  return { client, connection, receive, send };
}

function memory(bytes: number, fill = 0): GuestBuffer {
  return new GuestBuffer(bytes, Buffer.alloc(bytes, fill));
}

describe("an accepted connection", () => {
  it("gives every byte in order, in pieces of any length, and then the end", async () => {
    const { client, connection, receive } = await connected();
    const sent = Buffer.from(Uint32Array.from({ length: TOTAL_BYTES / 4 }, (_, i) => i).buffer);
    client.end(sent);
    const got: Uint8Array[] = [];
    for (let left = TOTAL_BYTES, piece = 1; left > 0; piece = (piece * 7) % 200_003) {
      const into = memory(Math.min(piece, left));
      expect(await receive(into)).toBe(into.length);
      got.push(into.data as Uint8Array);
      left -= into.length;
    }
    expect(Buffer.concat(got).equals(sent)).toBe(true);
    expect(await receive(memory(10))).toBe(0);
    connection.close();
  });

  it("sends messages of any length in order, each as the system takes it, however late they are read", async () => {
    const { client, connection, send } = await connected();
    const lengths = [28, 20_000, 300_000, 16, 262_172, 16_384, 16_385, 1 << 20, 28];
    const messages = lengths.map((bytes, index) => memory(bytes, index + 1));
    const sent: string[] = [];
    const areNow = messages.map((message, index) =>
      send(message, (ret) => sent.push(`${index}:${ret}`)),
    );
    connection.flush();
    // The socket has room for the first two, and for none of the long ones.
    expect(areNow.indexOf(false)).toBe(2);
    expect(areNow.slice(2).includes(true)).toBe(false);
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(sent).toEqual(["0:0", "1:0"]);
    const got: Buffer[] = [];
    const total = lengths.reduce((sum, bytes) => sum + bytes, 0);
    for (let left = total; left > 0; left -= got.at(-1)?.length ?? 0) {
      got.push(((await once(client, "data")) as [Buffer])[0]);
      connection.flush();
    }
    const all = Buffer.concat(messages.map(({ data }) => data as Uint8Array));
    expect(Buffer.concat(got).equals(all)).toBe(true);
    expect(sent).toEqual(lengths.map((_, index) => `${index}:0`));
    client.destroy();
    connection.close();
  });

  it("completes what it cannot send any more", async () => {
    const { client, connection, send } = await connected();
    const sent: number[] = [];
    for (let i = 0; i < 3; i++) send(memory(TOTAL_BYTES), (ret) => sent.push(ret));
    client.destroy();
    while (sent.length < 3) await new Promise((resolve) => setImmediate(resolve));
    expect(sent.every((ret) => ret < 0)).toBe(true);
    connection.close();
  });

  it("reads no further while nobody receives", async () => {
    const { client, connection, receive } = await connected();
    client.write(Buffer.alloc(8 * TOTAL_BYTES));
    expect(await receive(memory(28))).toBe(28);
    for (let turn = 0; turn < 100; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(client.writableLength).toBeGreaterThan(0);
    expect(await receive(memory(8 * TOTAL_BYTES - 28))).toBe(8 * TOTAL_BYTES - 28);
    expect(client.writableLength).toBe(0);
    client.destroy();
    expect(await receive(memory(1))).toBeLessThanOrEqual(0);
    connection.close();
  });
});
