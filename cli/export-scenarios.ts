// Scenarios of an export: its client goes away while a request of it is under way.
//
//   main                      io0, where the export is at home         the client
//                               a request is read, and runs              sends a request; hangs up
//                               the connection is over
//     closes the client  <────  a bottom half
//
// Debian's qemu-storage-daemon 7.2 aborts at this point: its iothread closes the client itself, and with it runs global-state
// code. `export-disconnect` goes this path, and `wrong-export-disconnect` makes that mistake, for the analyzer to name.
//
// They are not among those of explorer/, which knows no daemon.

import { blkNewWithBs, blkUnref } from "#core/backend";
import { assert, type HostHandle } from "#core/base";
import { nullAioDriver, nullOpen } from "#core/drivers";
import { BLK_PERM_CONSISTENT_READ, bdrvUnref } from "#core/graph";
import {
  type Co,
  GuestBuffer,
  hostAllocate,
  machine,
  type Polls,
  type SocketAddress,
  socketClient,
  socketClose,
  socketConnect,
  socketRecv,
  socketSend,
} from "#core/sched";
import {
  nbdClientClose,
  nbdExportCreate,
  nbdExportDelete,
  nbdServerStart,
  nbdServerStop,
} from "#daemon/nbd";
import type { Scenario, World } from "#explorer";

const DISK_BYTES = 1 << 20;
const LATENCY_NS = 50_000;
const READ_BYTES = 4096;
/** What the server sends first: two magic numbers and its flags; for an export name its size and flags; before what is read. */
const GREETING_BYTES = 18;
const EXPORT_BYTES = 10;
const REPLY_BYTES = 16;

const exportDisconnect: Scenario = {
  name: "export-disconnect",
  title: "A client of an export in an iothread hangs up while its request runs.",
  expected: [{ finds: [] }],
  main: (world) => serve(world, false),
};

const wrongExportDisconnect: Scenario = {
  name: "wrong-export-disconnect",
  title: "An iothread closes the client of its export itself, as QEMU 7.2's storage daemon does.",
  expected: [
    { outcome: "assertion", finds: [{ rule: "wrong-thread" }, { rule: "modelled-assertion" }] },
    { without: [12], finds: [{ rule: "wrong-thread" }] },
  ],
  main: (world) => serve(world, true),
};

export const EXPORT_SCENARIOS: readonly Scenario[] = [exportDisconnect, wrongExportDisconnect];

function* serve(world: World, isWrong: boolean): Polls<void> {
  const ctx = world.iothread("io0");
  const options = { nodeName: "disk", size: DISK_BYTES, latencyNs: LATENCY_NS, ctx };
  const disk = yield* nullOpen(nullAioDriver, options);
  const blk = yield* blkNewWithBs(disk, { name: "", perm: BLK_PERM_CONSISTENT_READ });
  yield* bdrvUnref(disk);
  const address: SocketAddress = { type: "unix", path: world.imagePath("nbd.sock") };
  const server = yield* nbdServerStart({
    address,
    ...(isWrong ? { onDisconnect: nbdClientClose } : {}),
  });
  const exported = yield* nbdExportCreate(server, blk, { name: "disk" });
  world.guest(machine.mainContext, () => readAndHangUp(address));
  yield* world.joinGuests();
  yield* world.until(() => server.clients.size === 0);
  yield* nbdExportDelete(server, exported);
  yield* nbdServerStop(server);
  yield* blkUnref(blk);
  yield* world.stopIothreads();
}

/** A client reads once, asks again, and does not wait for the answer. It looks at nothing that it is sent. */
function* readAndHangUp(address: SocketAddress): Co<void> {
  const socket = socketClient(address) as HostHandle;
  assert((yield* socketConnect(socket)) === 0, "the server listens");
  yield* receive(socket, GREETING_BYTES);
  yield* send(socket, exportName("disk"));
  yield* receive(socket, EXPORT_BYTES);
  yield* send(socket, readRequest(0));
  yield* receive(socket, REPLY_BYTES + READ_BYTES);
  yield* send(socket, readRequest(READ_BYTES));
  socketClose(socket);
}

function* receive(socket: HostHandle, bytes: number): Co<void> {
  const range = { buffer: hostAllocate(bytes), start: 0, least: bytes, most: bytes };
  assert((yield* socketRecv(socket, range)) === bytes, "the server answers");
}

function* send(socket: HostHandle, bytes: Buffer): Co<void> {
  yield* socketSend(socket, new GuestBuffer(bytes.length, bytes), 0, bytes.length);
}

/** The client's flags (fixed newstyle, no zeroes), and the option that opens the export `name`. */
function exportName(name: string): Buffer {
  const bytes = Buffer.alloc(4 + 16 + name.length);
  bytes.writeUInt32BE(3, 0);
  bytes.write("IHAVEOPT", 4);
  bytes.writeUInt32BE(1, 12);
  bytes.writeUInt32BE(name.length, 16);
  bytes.write(name, 20);
  return bytes;
}

/** NBD_CMD_READ at `offset`. */
function readRequest(offset: number): Buffer {
  const bytes = Buffer.alloc(28);
  bytes.writeUInt32BE(0x2560_9513, 0);
  bytes.writeBigUInt64BE(BigInt(offset), 16);
  bytes.writeUInt32BE(READ_BYTES, 24);
  return bytes;
}
