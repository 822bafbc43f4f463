// Sockets go through the door: a server and its clients talk in a simulated and in a live run, over a unix and a TCP socket, and
// replay has the same conversation with no network at all.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { assert, ECANCELED, ECONNREFUSED, type HostHandle, type SiteId } from "#core/base";
import { fileOpen } from "#core/drivers";
import { bdrvUnref } from "#core/graph";
import {
  type AioContext,
  aioCoEnter,
  type Co,
  GuestBuffer,
  hostAllocate,
  hostReveal,
  type Polls,
  qemuCoroutineCreate,
  type SocketAddress,
  socketAccept,
  socketClient,
  socketClose,
  socketConnect,
  socketListener,
  socketRecv,
  socketSend,
} from "#core/sched";
import type { Scenario, World } from "#explorer";
import { recordLive } from "./live-recording.ts";
import { roundTrip, roundTripOf } from "./round-trip.ts";

const folder = mkdtempSync(join(tmpdir(), "quiesce-sockets-"));
afterAll(() => rmSync(folder, { recursive: true }));

const CLIENTS = 3;
const MESSAGES = 20;
/** Of a message: its length in four bytes, then so many. */
const HEADER_BYTES = 4;

/** Clients send messages of random lengths and read them back; the server ends when it is closed. */
function echo(address: SocketAddress): Scenario {
  return { name: "echo", title: "A server echoes.", main: (world) => main(world, address) };
}

function* main(world: World, address: SocketAddress): Polls<void> {
  const ctx = world.iothread("io0");
  // A live run is expected to leave something that is then deleted.
  const path = world.imagePath("image");
  yield* bdrvUnref(yield* fileOpen({ nodeName: "image", path, create: true }));
  const listener = handleOf(socketListener(address));
  let port = -1;
  world.guest(ctx, function* (): Co<void> {
    port = yield* socketConnect(listener);
    assert(port >= 0, "the server listens");
    yield* serve(world, ctx, listener);
  });
  yield* world.sleep(5_000_000);
  const to = address.type === "inet" ? { ...address, port } : address;
  let open = CLIENTS;
  for (let client = 0; client < CLIENTS; client++) {
    world.guest(ctx, function* (): Co<void> {
      yield* talk(world, to, client);
      if (--open === 0) socketClose(listener);
    });
  }
  yield* world.joinGuests();
  world.guest(ctx, function* (): Co<void> {
    const late = handleOf(socketClient(to));
    world.note(`late ${(yield* socketConnect(late)) === -ECONNREFUSED ? "refused" : "?"}`);
    socketClose(late);
  });
  yield* world.joinGuests();
  yield* world.stopIothreads();
}

function handleOf(socket: HostHandle | number): HostHandle {
  assert(socket > 0, "there is a socket");
  return socket as HostHandle;
}

function* serve(world: World, ctx: AioContext, listener: HostHandle): Co<void> {
  for (;;) {
    const connection = yield* socketAccept(listener);
    if (connection < 0) {
      world.note(`accept ended ${connection === -ECANCELED}`);
      return;
    }
    const co = qemuCoroutineCreate(() => echoAll(connection as HostHandle));
    aioCoEnter(ctx, co);
  }
}

function* echoAll(connection: HostHandle): Co<void> {
  const buffer = hostAllocate(70_000);
  for (;;) {
    const got = yield* socketRecv(connection, { buffer, start: 0, least: 1, most: 70_000 });
    if (got <= 0) break;
    assert((yield* socketSend(connection, buffer, 0, got)) === 0, "what came in goes out");
  }
  socketClose(connection);
}

function* talk(world: World, to: SocketAddress, client: number): Co<void> {
  const prng = world.prng.fork(client);
  const socket = handleOf(socketClient(to));
  assert((yield* socketConnect(socket)) === 0, "the server accepts");
  for (let left = MESSAGES; left > 0; left--) {
    const bytes = HEADER_BYTES + prng.below(60_000);
    const message = new Uint8Array(bytes).fill(65 + client);
    new DataView(message.buffer).setUint32(0, bytes);
    assert((yield* socketSend(socket, new GuestBuffer(bytes, message), 0, bytes)) === 0, "sent");
    const back = hostAllocate(bytes);
    const range = { buffer: back, start: 0, least: bytes, most: bytes };
    assert((yield* socketRecv(socket, range)) === bytes, "all of it comes back");
    const header = hostReveal(0 as SiteId, back, 0, HEADER_BYTES);
    assert(new DataView(header.buffer).getUint32(0) === bytes, "with what it says");
  }
  socketClose(socket);
}

describe("sockets", () => {
  it("carry a conversation in a simulated run, twice the same, and in its replay", () => {
    const scenario = echo({ type: "unix", path: "/run/echo" });
    for (const seed of [1, 2, 3]) {
      expect(roundTrip(scenario, { seed })).toMatchObject({ problem: "", outcome: "ok" });
    }
  });

  it.each<[string, SocketAddress]>([
    ["unix", { type: "unix", path: join(folder, "echo.sock") }],
    ["TCP", { type: "inet", host: "127.0.0.1", port: 0 }],
  ])("carry a conversation over a real %s socket, and replay needs none", async (_, address) => {
    const { bytes, outcome } = await recordLive(echo(address), { seed: 1 });
    expect(outcome).toBe("ok");
    expect(roundTripOf(echo(address), bytes)).toMatchObject({ problem: "" });
  });

  it("keep what clients send out of the trace", async () => {
    const scenario = echo({ type: "unix", path: join(folder, "secret.sock") });
    const { bytes } = await recordLive(scenario, { seed: 1 });
    expect(Buffer.from(bytes).includes("AAAAAAAA")).toBe(false);
    expect(Buffer.from(bytes).includes("secret.sock")).toBe(false);
  });
});
