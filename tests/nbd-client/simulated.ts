// The NBD client against this project's own server, in one simulated run: guests work on an export while the connection is lost and
// found again, and while main drains the node.
//
//     drive  a BlockBackend with guests         io1   client
//       |                                              :  a connection, latencies and cuts from the run's seed
//     remote (nbd)                              io0   server  --  disk (memory)

import { type BlockBackend, blkCoPreadv, blkFlush, blkNewWithBs, blkUnref } from "#core/backend";
import { EIO, type SiteId } from "#core/base";
import { nbdOpen, overlayOpen } from "#core/drivers";
import {
  BLK_PERM_CONSISTENT_READ,
  BLK_PERM_WRITE,
  type BlockDriverState,
  bdrvUnref,
  settle,
} from "#core/graph";
import { bdrvBlockStatus, bdrvDrainedBegin, bdrvDrainedEnd, qiovOf } from "#core/io";
import { type AioContext, type Co, clockNs, hostAllocate, type Polls } from "#core/sched";
import { type NbdServer, nbdExportCreate, nbdServerStart, nbdServerStop } from "#daemon/nbd";
import { BLOCK_BYTES, type GuestCounts, runGuest, type Scenario, type World } from "#explorer";

const SITE_DRAIN = 0 as SiteId;
const SERVER = { type: "unix", path: "/run/nbd" } as const;
const GUESTS = 4;
const BLOCKS = 16 * GUESTS;
const REQUESTS = 12;
const SECOND_NS = 1_000_000_000;

/** What a server exports, and where it runs. */
interface Exported {
  readonly blk: BlockBackend;
  server: NbdServer;
}

function* serve(blk: BlockBackend): Polls<NbdServer> {
  const server = yield* nbdServerStart({ address: SERVER });
  yield* nbdExportCreate(server, blk, { name: "disk", writable: true });
  return server;
}

function* exportDisk(ctx: AioContext): Polls<Exported> {
  const disk = yield* overlayOpen({ nodeName: "disk", size: BLOCKS * BLOCK_BYTES, ctx });
  const perm = BLK_PERM_CONSISTENT_READ | BLK_PERM_WRITE;
  const blk = yield* blkNewWithBs(disk, { perm });
  yield* bdrvUnref(disk);
  return { blk, server: yield* serve(blk) };
}

function* connect(ctx: AioContext, reconnectDelay: number): Polls<BlockDriverState> {
  return yield* nbdOpen({
    nodeName: "remote",
    server: SERVER,
    exportName: "disk",
    ctx,
    reconnectDelay,
  });
}

/** Guests read, write, zero, discard and flush, and check; the server goes and comes back; main drains. */
export const nbdClientUnderLoad: Scenario = {
  name: "nbd-client",
  title: "Guests work on an NBD export whose server goes and comes back.",
  *main(world: World): Polls<void> {
    const exported = yield* exportDisk(world.iothread("io0"));
    const ctx = world.iothread("io1");
    const remote = yield* connect(ctx, 60);
    const blk = yield* blkNewWithBs(remote, { name: "drive" });
    blk.dev = { id: "drive" };
    const counts: GuestCounts = { requests: 0, failed: 0, checked: 0, grown: 0 };
    const disk = { blk, guests: GUESTS, blocks: BLOCKS, nextBlock: BLOCKS, blocksMax: BLOCKS };
    for (let index = 0; index < GUESTS; index++) {
      const prng = world.prng.fork(index);
      const goesOn = (requests: number) => requests < REQUESTS;
      world.guest(ctx, () =>
        runGuest({ ...disk, mayFail: () => false, counts }, index, prng, goesOn),
      );
    }
    for (let round = 0; round < 2; round++) {
      yield* world.sleep(400_000);
      yield* bdrvDrainedBegin(remote, SITE_DRAIN);
      yield* bdrvDrainedEnd(remote, SITE_DRAIN);
      yield* nbdServerStop(exported.server);
      yield* world.sleep(100_000);
      exported.server = yield* serve(exported.blk);
    }
    yield* world.joinGuests();
    world.note(`${counts.requests} requests, ${counts.failed} failed`);
    const { ret } = yield* bdrvBlockStatus(remote, 0, BLOCK_BYTES);
    world.note(ret >= 0 ? "status known" : `status ${ret}`);
    blk.dev = null;
    yield* blkUnref(blk);
    yield* bdrvUnref(remote);
    yield* nbdServerStop(exported.server);
    yield* blkUnref(exported.blk);
    yield* world.stopIothreads();
  },
};

/** The server is gone for good: a drain does not wait longer than requests do, and later requests fail at once. */
export const nbdClientAlone: Scenario = {
  name: "nbd-client-alone",
  title: "An NBD server goes and does not come back.",
  *main(world: World): Polls<void> {
    const exported = yield* exportDisk(world.iothread("io0"));
    const ctx = world.iothread("io1");
    const none = yield* settle(() => nbdOpen({ nodeName: "", server: SERVER, exportName: "none" }));
    world.note(none.ok ? "opened" : none.error.message);
    const remote = yield* connect(ctx, 2);
    const blk = yield* blkNewWithBs(remote, { name: "drive" });
    world.note(`flush ${yield* blkFlush(blk)}`);
    yield* nbdServerStop(exported.server);
    const started = clockNs();
    const seconds = () => Math.round((clockNs() - started) / SECOND_NS);
    for (let index = 0; index < 3; index++) {
      world.guest(ctx, function* (): Co<void> {
        const ret = yield* blkCoPreadv(blk, 0, 512, qiovOf(hostAllocate(512)));
        world.note(`${ret === -EIO ? "failed" : ret} after ${seconds()} s`);
      });
    }
    yield* world.sleep(1_000_000);
    yield* bdrvDrainedBegin(remote, SITE_DRAIN);
    world.note(`drained after ${seconds()} s, ${remote.inFlight} in flight`);
    yield* bdrvDrainedEnd(remote, SITE_DRAIN);
    yield* world.joinGuests();
    exported.server = yield* serve(exported.blk);
    world.note(`flush ${yield* blkFlush(blk)} after ${seconds()} s`);
    yield* blkUnref(blk);
    yield* bdrvUnref(remote);
    yield* nbdServerStop(exported.server);
    yield* blkUnref(exported.blk);
    yield* world.stopIothreads();
  },
};
