// The NBD server, which hears a whole connection's bytes, in pieces; afterwards a decent client must be served.

import { blkNewWithBs, blkUnref } from "#core/backend";
import { assert, type HostHandle, Prng } from "#core/base";
import { nullCoDriver, nullOpen, overlayOpen } from "#core/drivers";
import { BLK_PERM_CONSISTENT_READ, BLK_PERM_WRITE, bdrvUnref } from "#core/graph";
import {
  aioCoEnter,
  type Co,
  GuestBuffer,
  hostAllocate,
  machine,
  type Polls,
  qemuCoroutineCreate,
  type SocketAddress,
  socketClient,
  socketClose,
  socketConnect,
  socketRecv,
  socketSend,
} from "#core/sched";
import {
  protocol as nbd,
  nbdExportCreate,
  nbdExportDelete,
  nbdServerStart,
  nbdServerStop,
} from "#daemon/nbd";
import type { World } from "#explorer";
import { runSimulatedSoundly } from "../record-replay/sound-run.ts";
import type { FuzzTarget } from "./fuzzer.ts";

const ADDRESS: SocketAddress = { type: "unix", path: "nbd.sock" };
const SIZE = 256 * 1024;
const PIECE_BYTES = 700;

/** A message of big-endian fields: `[width, value]`, or bytes. */
function message(
  ...fields: readonly (readonly [1 | 2 | 4 | 8, number | bigint] | string)[]
): Uint8Array {
  const parts = fields.map((field) => {
    if (typeof field === "string") return Buffer.from(field);
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64BE(BigInt(field[1]));
    return bytes.subarray(8 - field[0]);
  });
  return Buffer.concat(parts);
}

function option(type: number, data: Uint8Array = new Uint8Array(0)): Uint8Array {
  return Buffer.concat([message([8, nbd.IHAVEOPT], [4, type], [4, data.length]), data]);
}

function request(type: number, from: number, length: number, flags = 0, payload = 0): Uint8Array {
  const head = message(
    [4, nbd.NBD_REQUEST_MAGIC],
    [2, flags],
    [2, type],
    [8, 7],
    [8, from],
    [4, length],
  );
  return Buffer.concat([head, Buffer.alloc(payload, 1)]);
}

const HELLO = message([4, 3]);
const GO = option(nbd.NBD_OPT_GO, message([4, 4], "disk", [2, 2], [2, 1], [2, 3]));
const CHUNKS = option(nbd.NBD_OPT_STRUCTURED_REPLY);
const CONTEXT = message([4, 4], "disk", [4, 1], [4, 15], "base:allocation");

/** Sessions that are right. */
const SEEDS: readonly Uint8Array[] = [
  [HELLO, option(nbd.NBD_OPT_LIST), option(nbd.NBD_OPT_ABORT)],
  [HELLO, option(nbd.NBD_OPT_EXPORT_NAME, message("disk")), request(0, 0, 512), request(2, 0, 0)],
  [HELLO, CHUNKS, GO, request(1, 4096, 512, 1, 512), request(0, 0, 70_000), request(3, 0, 0)],
  [HELLO, CHUNKS, option(nbd.NBD_OPT_SET_META_CONTEXT, CONTEXT), GO, request(7, 0, 100_000)],
  [HELLO, CHUNKS, option(nbd.NBD_OPT_LIST_META_CONTEXT, message([4, 4], "disk", [4, 0])), GO],
  [HELLO, GO, request(6, 0, 65_536, 2), request(4, 0, 4096), request(5, 0, 8192), request(2, 0, 0)],
  [HELLO, option(nbd.NBD_OPT_STARTTLS), option(nbd.NBD_OPT_INFO, message([4, 0], [2, 0])), GO],
].map((parts) => Buffer.concat(parts));

export const nbdTarget: FuzzTarget = {
  name: "nbd",
  seeds: SEEDS,
  code: ["/daemon/nbd/"],
  run(input, seed, isJudged) {
    let wasServed = false;
    const main = (world: World): Polls<void> =>
      serve(world, input, new Prng(seed, 6), () => {
        wasServed = true;
      });
    runSimulatedSoundly({ seed, main, isJudged });
    if (!wasServed) throw new Error("the next client was not served");
  },
};

function* serve(world: World, input: Uint8Array, prng: Prng, served: () => void): Polls<void> {
  const ctx = world.iothread("io0");
  const server = yield* nbdServerStart({ address: ADDRESS, handshakeNsMax: 50_000_000 });
  const nothing = { nodeName: "base", ctx, size: SIZE, readZeroes: true };
  const backing = yield* nullOpen(nullCoDriver, nothing);
  const bs = yield* overlayOpen({ nodeName: "disk", ctx, size: SIZE, backing });
  const blk = yield* blkNewWithBs(bs, {
    name: "",
    perm: BLK_PERM_CONSISTENT_READ | BLK_PERM_WRITE,
  });
  yield* bdrvUnref(bs);
  const exported = yield* nbdExportCreate(server, blk, {
    name: "disk",
    writable: true,
    allocationDepth: true,
  });
  world.guest(machine.mainContext, function* (): Co<void> {
    yield* say(input, prng);
    if (yield* isServed()) served();
  });
  yield* world.joinGuests();
  yield* nbdExportDelete(server, exported);
  yield* blkUnref(blk);
  yield* nbdServerStop(server);
  yield* world.stopIothreads();
}

function* connected(): Co<HostHandle> {
  const socket = socketClient(ADDRESS) as HostHandle;
  assert((yield* socketConnect(socket)) === 0, "somebody listens");
  return socket;
}

/** Send all of it, while another coroutine takes what comes back; then go away. */
function* say(input: Uint8Array, prng: Prng): Co<void> {
  const socket = yield* connected();
  let isClosed = false;
  aioCoEnter(
    machine.mainContext,
    qemuCoroutineCreate(function* (): Co<void> {
      const buffer = hostAllocate(65_536);
      const range = { buffer, start: 0, least: 1, most: buffer.length };
      while (!isClosed && (yield* socketRecv(socket, range)) > 0);
    }),
  );
  for (let at = 0; at < input.length; ) {
    const piece = input.slice(at, at + 1 + prng.below(PIECE_BYTES));
    at += piece.length;
    if ((yield* socketSend(socket, new GuestBuffer(piece.length, piece), 0, piece.length)) < 0)
      break;
  }
  isClosed = true;
  socketClose(socket);
}

/** A client that opens the export and reads a block is answered with all that this takes. */
function* isServed(): Co<boolean> {
  const socket = yield* connected();
  const session = Buffer.concat([
    HELLO,
    option(nbd.NBD_OPT_EXPORT_NAME, message("disk")),
    request(0, 0, 512),
  ]);
  yield* socketSend(socket, new GuestBuffer(session.length, session), 0, session.length);
  const bytes = 18 + 10 + 16 + 512;
  const range = { buffer: hostAllocate(bytes), start: 0, least: bytes, most: bytes };
  const got = yield* socketRecv(socket, range);
  socketClose(socket);
  return got === bytes;
}
