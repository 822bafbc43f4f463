// The demo: two images under load while main edits both graphs again and again.
//
//      drive0           drive1         each disk: a BlockBackend with QUEUE_DEPTH guests in an iothread of its own
//        |                |
//      disk0            disk1          raw
//        |                |
//      file0            file1          a file of the host
//
// Main goes through a shuffled list of operations (demo-operations.ts), each done and undone, first on one disk, then on the
// other. Guests check what they read, and go on until main is through, and each for `requests` requests at least. With
// patches 10 and 11 off the edits are not drained, and the analyzer finds races; with them on it finds nothing.

import { blkInsertBs, blkNew, blkUnref } from "#core/backend";
import { type ByteOffset, errnoName, type HostHandle, type Prng } from "#core/base";
import { fileOpen, rawOpen } from "#core/drivers";
import { BlockError, bdrvUnref } from "#core/graph";
import { aioContextAcquire, aioContextRelease, hostCall, type Polls } from "#core/sched";
import { BLOCK_BYTES, type GuestCounts, runGuest } from "../guest.ts";
import type { Scenario } from "../scenario.ts";
import type { World } from "../world.ts";
import { type DemoDisk, type DemoOperation, OPERATIONS } from "./demo-operations.ts";

/** Guests of a disk: one request each at a time. */
const QUEUE_DEPTH = 16;
/** Blocks of an image at first, and when its guests have written behind the end as often as they can. */
const BLOCKS = 4 * QUEUE_DEPTH;
const BLOCKS_MAX = 4 * BLOCKS;
/** These blocks fail while the error-injecting filter is in the graph. */
const BAD_BLOCKS = { first: 32, count: 16 };
/** A guest that has done this many times its requests ends although main is not through: main may be stuck. */
const GUEST_PATIENCE = 16;
/** How long main lets the guests work between two operations. */
const PAUSE_NS = 40_000;

const demo: Scenario = {
  name: "demo",
  title: "Two images under load, each in its own iothread, while main edits both graphs.",
  params: { rounds: "1", requests: "64" },
  // Some twenty thousand in a run that ends. With the AioContext lock and all patches on, main waits without letting the lock go,
  // as it would in QEMU, while the other disk's guests work on.
  stepsMax: 500_000,
  expected: [
    { finds: [], restsOn: ["task-order", "gate", "wrapper-begin", "wrapper-end"] },
    {
      without: [10, 11],
      finds: [
        {
          rule: "race",
          list: "children",
          editor: "bdrv_child_cb_attach",
          operation: "bdrv_append",
        },
        { rule: "race", list: "parents", reader: "bdrv_parent_cb_resize" },
        { rule: "edit-outside-drain", list: "parents", operation: "bdrv_attach_child" },
      ],
      others: true,
    },
    {
      without: [10, 11],
      lock: "aio",
      finds: [
        { rule: "covered-by-luck", list: "edge_bs", operation: "bdrv_append" },
        { rule: "edit-outside-drain", list: "parents", operation: "bdrv_attach_child" },
      ],
      others: true,
      restsOn: ["lock"],
    },
  ],
  main,
};

export default demo;

function* main(world: World): Polls<void> {
  const counts: GuestCounts = { requests: 0, failed: 0, checked: 0, grown: 0 };
  const disks = [yield* openDisk(world, 0), yield* openDisk(world, 1)];
  let isOver = false;
  const atLeast = world.number("requests");
  for (const disk of disks) {
    const guests = guestsOf(disk, counts);
    for (let index = 0; index < QUEUE_DEPTH; index++) {
      const prng = world.prng.fork(index);
      world.guest(disk.ctx, () =>
        runGuest(
          guests,
          index,
          prng,
          (requests) => requests < atLeast || (!isOver && requests < GUEST_PATIENCE * atLeast),
        ),
      );
    }
  }
  for (let round = world.number("rounds"); round > 0; round--) yield* editAll(world, disks);
  isOver = true;
  yield* world.joinGuests();
  world.note(
    `${counts.requests} requests, ${counts.failed} failed, ${counts.checked} reads checked, ${counts.grown} blocks of growth`,
  );
  for (const disk of disks) yield* closeDisk(disk);
  yield* world.stopIothreads();
}

/** Every operation once on every disk, in a drawn order. */
function* editAll(world: World, disks: readonly DemoDisk[]): Polls<void> {
  const all = disks.flatMap((disk) => OPERATIONS.map((operation) => ({ disk, operation })));
  shuffle(all, world.prng);
  for (const { disk, operation } of all) {
    const run: DemoOperation = operation;
    const pause = (): Polls<void> => world.sleep(PAUSE_NS / 2 + world.prng.below(PAUSE_NS));
    yield* run(disk, pause);
    yield* pause();
  }
}

/** Fisher and Yates. */
function shuffle<T>(list: T[], prng: Prng): void {
  for (let end = list.length - 1; end > 0; end--) {
    const other = prng.below(end + 1);
    [list[end], list[other]] = [list[other] as T, list[end] as T];
  }
}

function* openDisk(world: World, index: number): Polls<DemoDisk> {
  const ctx = world.iothread(`io${index}`);
  const path = world.imagePath(`disk${index}.img`);
  makeImage(path, BLOCKS * BLOCK_BYTES);
  const file = yield* fileOpen({ nodeName: `file${index}`, path });
  const bs = yield* rawOpen(`disk${index}`, file);
  const blk = blkNew(ctx, { name: `drive${index}`, allowWriteBeyondEof: true });
  // A device is attached: nobody moves this BlockBackend to another context.
  blk.dev = { id: blk.name };
  yield* blkInsertBs(blk, bs);
  return {
    name: `disk${index}`,
    ctx,
    blk,
    bs,
    generation: 0,
    sizeMax: BLOCKS_MAX * BLOCK_BYTES,
    bad: { offset: BAD_BLOCKS.first * BLOCK_BYTES, bytes: BAD_BLOCKS.count * BLOCK_BYTES },
  };
}

/** An image of `bytes` zeroes, whatever was there. */
function makeImage(path: string, bytes: number): void {
  const opened = hostCall({ call: "open", path, writable: true, create: true });
  if (opened.ret < 0)
    throw new BlockError(-opened.ret, `Could not create '${path}': ${errnoName(-opened.ret)}`);
  const handle = opened.value as HostHandle;
  for (const size of [0, bytes]) {
    const { ret } = hostCall({ call: "truncate", handle, size: size as ByteOffset });
    if (ret < 0) throw new BlockError(-ret, `Could not resize '${path}': ${errnoName(-ret)}`);
  }
  hostCall({ call: "close", handle });
}

function* closeDisk(disk: DemoDisk): Polls<void> {
  yield* aioContextAcquire(disk.ctx);
  disk.blk.dev = null;
  yield* blkUnref(disk.blk);
  aioContextRelease(disk.ctx);
  // Nobody keeps the nodes in the iothread any more: they have gone back to main.
  yield* bdrvUnref(disk.bs);
}

function guestsOf(disk: DemoDisk, counts: GuestCounts): Parameters<typeof runGuest>[0] {
  return {
    blk: disk.blk,
    guests: QUEUE_DEPTH,
    blocks: BLOCKS,
    nextBlock: BLOCKS,
    blocksMax: BLOCKS_MAX,
    mayFail: (block) => block >= BAD_BLOCKS.first && block < BAD_BLOCKS.first + BAD_BLOCKS.count,
    counts,
  };
}
