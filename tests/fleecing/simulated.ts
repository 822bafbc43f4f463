// Fleecing in a simulated run: guests write to a disk in an iothread through a filter that keeps what they overwrite, while readers
// compare what they read of the snapshot with what was there before, and main drains.
//
//     drive  with guests      backup  with readers
//       |                       |
//      cbw  <------------ access
//       |   \
//     disk  throttle -- (filter that fails) -- target

import {
  type BlockBackend,
  blkCoPreadv,
  blkCoPwritev,
  blkCoPwriteZeroes,
  blkNewWithBs,
  blkUnref,
} from "#core/backend";
import { EACCES, type Prng, type SiteId } from "#core/base";
import {
  copyBeforeWriteOpen,
  InjectErrorState,
  injectErrorDriver,
  type OnCbwError,
  overlayOpen,
  snapshotAccessOpen,
  throttleOpen,
} from "#core/drivers";
import {
  BDRV_CHILD_FILTERED,
  BDRV_CHILD_PRIMARY,
  BLK_PERM_CONSISTENT_READ,
  BLK_PERM_WRITE,
  type BlockDriverState,
  bdrvOpenDriver,
  bdrvRef,
  bdrvTryChangeAioContext,
  bdrvUnref,
} from "#core/graph";
import { bdrvDrainedBegin, bdrvDrainedEnd, qiovOf } from "#core/io";
import {
  type Co,
  hostAllocate,
  hostDecide,
  modelAssert,
  type Polls,
  qemuCoSleepNs,
} from "#core/sched";
import { throttleGroupDel, throttleGroupNew } from "#core/throttle";
import { BLOCK_BYTES, fillPattern, matchesPattern, type Scenario, type World } from "#explorer";

const SITE = 0 as SiteId;
const GUESTS = 3;
const READERS = 2;
const CLUSTER_BYTES = 65_536;
const CLUSTERS = 12;
const BYTES = CLUSTERS * CLUSTER_BYTES;
const BLOCKS = BYTES / BLOCK_BYTES;
/** Requests of each guest, and reads of each reader. */
const REQUESTS = 25;
const READS = 20;
const PAUSE_NS = 20_000;
/** The generation of what was there before; guests' own are smaller. */
const OLD = 1_000_000;
/** The cluster that cannot be copied. */
const BAD_CLUSTER = 2;

/** What happened. */
interface Counts {
  writes: number;
  failedWrites: number;
  reads: number;
  failedReads: number;
}

/** Every sector says where it is. */
function* fillOld(blk: BlockBackend): Co<void> {
  for (let position = 0; position < BYTES; position += CLUSTER_BYTES) {
    const buffer = hostAllocate(CLUSTER_BYTES);
    fillPattern({ buffer, start: 0, bytes: CLUSTER_BYTES, position }, OLD);
    yield* blkCoPwritev(blk, position, CLUSTER_BYTES, qiovOf(buffer));
  }
}

/** Writes and zeroes blocks of its own, and reads them back: `index`, `index + GUESTS`, and so on. */
function* guest(blk: BlockBackend, index: number, prng: Prng, run: Run): Co<void> {
  const buffer = hostAllocate(BLOCK_BYTES);
  for (let generation = 1; generation <= REQUESTS; generation++) {
    yield* qemuCoSleepNs(1 + prng.below(PAUSE_NS));
    const block = index + GUESTS * prng.below(BLOCKS / GUESTS);
    const position = block * BLOCK_BYTES;
    const range = { buffer, start: 0, bytes: BLOCK_BYTES, position };
    const written = prng.chance(1, 5) ? 0 : generation;
    fillPattern(range, written);
    const ret =
      written === 0
        ? yield* blkCoPwriteZeroes(blk, position, BLOCK_BYTES)
        : yield* blkCoPwritev(blk, position, BLOCK_BYTES, qiovOf(buffer));
    run.counts.writes++;
    if (ret < 0) {
      const isBad = Math.floor(position / CLUSTER_BYTES) === BAD_CLUSTER;
      modelAssert(run.writesMayFail && isBad, "a write fails where nothing can be copied", SITE);
      run.counts.failedWrites++;
      continue;
    }
    yield* blkCoPreadv(blk, position, BLOCK_BYTES, qiovOf(buffer));
    const isRight = hostDecide(SITE, () => matchesPattern(range, written));
    modelAssert(isRight === 1, "a guest reads what it wrote", SITE);
  }
}

/** Reads ranges of the snapshot, and compares. */
function* reader(blk: BlockBackend, prng: Prng, run: Run): Co<void> {
  for (let read = 0; read < READS; read++) {
    yield* qemuCoSleepNs(1 + prng.below(PAUSE_NS));
    const blocks = 1 + prng.below(32);
    const position = prng.below(BLOCKS - blocks + 1) * BLOCK_BYTES;
    const bytes = blocks * BLOCK_BYTES;
    const buffer = hostAllocate(bytes);
    const ret = yield* blkCoPreadv(blk, position, bytes, qiovOf(buffer));
    run.counts.reads++;
    if (ret < 0) {
      modelAssert(ret === -EACCES && run.readsMayFail, "a broken snapshot is not read", SITE);
      run.counts.failedReads++;
      continue;
    }
    const range = { buffer, start: 0, bytes, position };
    const isOld = hostDecide(SITE, () => matchesPattern(range, OLD));
    modelAssert(isOld === 1, "a snapshot holds what was there before", SITE);
  }
}

interface Run {
  readonly counts: Counts;
  readonly writesMayFail: boolean;
  readonly readsMayFail: boolean;
}

/** What clusters are copied to: slow, and with `fails` one of them cannot be written. */
function* openTarget(fails: boolean): Polls<BlockDriverState> {
  const image = yield* overlayOpen({ nodeName: "target", size: BYTES });
  throttleGroupNew("slow", { "iops-total": 20_000 });
  if (!fails) return yield* throttleOpen("throttle", image, "slow");
  const rule = { types: ["write" as const], offset: BAD_CLUSTER * CLUSTER_BYTES, bytes: 1 };
  const role = BDRV_CHILD_FILTERED | BDRV_CHILD_PRIMARY;
  const filter = yield* bdrvOpenDriver(injectErrorDriver, "failing", {
    opaque: new InjectErrorState([rule]),
    children: [{ name: "file", role, bs: image }],
  });
  return yield* throttleOpen("throttle", filter, "slow");
}

/** `fails=yes`: one cluster cannot be copied; then a write fails, or, with `on=break-snapshot`, what is read later. */
export const fleecing: Scenario = {
  name: "fleecing",
  title: "Guests write while a backup reads what was there before.",
  params: { fails: "no", on: "break-guest-write", timeout: "0" },
  *main(world: World): Polls<void> {
    const home = world.iothread("io0");
    const onCbwError = world.param("on") as OnCbwError;
    const fails = world.param("fails") === "yes";
    const run: Run = {
      counts: { writes: 0, failedWrites: 0, reads: 0, failedReads: 0 },
      writesMayFail: fails && onCbwError === "break-guest-write",
      readsMayFail: fails && onCbwError === "break-snapshot",
    };
    const disk = yield* overlayOpen({ nodeName: "disk", size: BYTES, ctx: home });
    const before = yield* blkNewWithBs(disk);
    world.guest(home, () => fillOld(before));
    yield* world.joinGuests();
    yield* blkUnref(before);
    const target = yield* openTarget(fails);
    const cbwTimeout = world.number("timeout");
    const cbw = yield* copyBeforeWriteOpen({
      ...{ nodeName: "cbw", file: disk, target, onCbwError, cbwTimeout },
    });
    bdrvRef(cbw);
    const access = yield* snapshotAccessOpen("access", cbw);
    yield* bdrvTryChangeAioContext(access, home, null);
    const perm = BLK_PERM_CONSISTENT_READ | BLK_PERM_WRITE;
    const drive = yield* blkNewWithBs(cbw, { name: "drive", perm });
    const backup = yield* blkNewWithBs(access, { name: "backup", perm: BLK_PERM_CONSISTENT_READ });
    for (let index = 0; index < GUESTS; index++) {
      const prng = world.prng.fork(index);
      world.guest(home, () => guest(drive, index, prng, run));
    }
    for (let index = 0; index < READERS; index++) {
      const prng = world.prng.fork(GUESTS + index);
      world.guest(home, () => reader(backup, prng, run));
    }
    for (const bs of [cbw, access, disk]) {
      yield* world.sleep(100_000);
      yield* bdrvDrainedBegin(bs, SITE);
      yield* bdrvDrainedEnd(bs, SITE);
    }
    yield* world.joinGuests();
    const { writes, failedWrites, reads, failedReads } = run.counts;
    world.note(`${writes} writes, ${failedWrites > 0 ? "some" : "none"} failed`);
    world.note(`${reads} reads, ${failedReads > 0 ? "some" : "none"} failed`);
    for (const blk of [drive, backup]) yield* blkUnref(blk);
    for (const bs of [access, cbw]) yield* bdrvUnref(bs);
    throttleGroupDel("slow");
    yield* world.stopIothreads();
  },
};
