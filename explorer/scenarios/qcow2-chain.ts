// A qcow2 image under load while main takes snapshots of it and moves filters in and out of its chain.
//
//      drive            a BlockBackend with guests in the iothread io0
//        |
//      snapshot1 ...    qcow2, one more with each snapshot
//        |  backing
//      top              qcow2        Filters come and go above the newest image, between an image and its backing file,
//        |  backing                  and between an image and its file.
//      base             qcow2
//
// The guests check what they read, through however many images it comes. Each image reads tables of its own, and what it read is
// in the recording, so that replay goes the same way without the images.

import { blkInsertBs, blkNew, blkUnref } from "#core/backend";
import { must } from "#core/base";
import { fileOpen, filterDriver, qcow2Create, qcow2Open } from "#core/drivers";
import {
  type BlockDriverState,
  backingOf,
  bdrvAppend,
  bdrvDropFilter,
  bdrvInsertNode,
  bdrvUnref,
  edgeBs,
  fileOf,
} from "#core/graph";
import { bdrvDrainedBegin, bdrvDrainedEnd } from "#core/io";
import { site } from "#core/probe";
import { type AioContext, aioContextAcquire, aioContextRelease, type Polls } from "#core/sched";
import { BLOCK_BYTES, type GuestCounts, runGuest } from "../guest.ts";
import type { Scenario } from "../scenario.ts";
import type { World } from "../world.ts";

const SNAPSHOT = site("qcow2_chain_snapshot");
const BELOW = site("qcow2_chain_below");

const GUESTS = 4;
const BLOCKS = 64 * GUESTS;
/** Small, so that tables are many: one L2 table maps half a megabyte. */
const CLUSTER_BYTES = 8192;
const SNAPSHOTS = 3;
const PAUSE_NS = 300_000;

const qcow2Chain: Scenario = {
  name: "qcow2-chain",
  title: "A qcow2 image under load, while main takes snapshots and moves filters in and out.",
  params: { requests: "40" },
  expected: [{ finds: [] }],
  main,
};

export default qcow2Chain;

function* main(world: World): Polls<void> {
  const ctx = world.iothread("io0");
  const drive = blkNew(ctx, { name: "drive" });
  drive.dev = { id: "drive" };
  const base = yield* makeImage(world, "base");
  let newest = yield* makeImage(world, "top", base);
  yield* blkInsertBs(drive, newest);
  const counts: GuestCounts = { requests: 0, failed: 0, checked: 0, grown: 0 };
  const disk = { blk: drive, guests: GUESTS, blocks: BLOCKS, nextBlock: BLOCKS, blocksMax: BLOCKS };
  const atLeast = world.number("requests");
  let isOver = false;
  for (let index = 0; index < GUESTS; index++) {
    const prng = world.prng.fork(index);
    const goesOn = (requests: number) => requests < atLeast || (!isOver && requests < 8 * atLeast);
    world.guest(ctx, () =>
      runGuest({ ...disk, mayFail: () => false, counts }, index, prng, goesOn),
    );
  }
  const images = [newest];
  for (let number = 1; number <= SNAPSHOTS; number++) {
    yield* comeAndGo(world, ctx, newest, `above${number}`);
    yield* comeAndGo(world, ctx, below(newest, "file"), `file-filter${number}`);
    newest = yield* snapshot(world, ctx, newest, number);
    images.push(newest);
    yield* comeAndGo(world, ctx, below(newest, "backing"), `between${number}`);
  }
  isOver = true;
  yield* world.joinGuests();
  world.note(`${counts.requests} requests, ${counts.checked} reads checked`);
  yield* aioContextAcquire(ctx);
  drive.dev = null;
  yield* blkUnref(drive);
  aioContextRelease(ctx);
  for (const bs of images.reverse()) yield* bdrvUnref(bs);
  yield* world.stopIothreads();
}

/** A new image, above `backing` if given. Polls. */
function* makeImage(
  world: World,
  name: string,
  backing?: BlockDriverState,
): Polls<BlockDriverState> {
  const path = world.imagePath(`${name}.qcow2`);
  const file = yield* fileOpen({ nodeName: `${name}-file`, path, create: true });
  yield* qcow2Create({ file, size: BLOCKS * BLOCK_BYTES, clusterBytes: CLUSTER_BYTES });
  const below = backing === undefined ? {} : { backing };
  return yield* qcow2Open({ nodeName: name, file, ...below });
}

/** blockdev-snapshot: a new image above `below`, which nobody writes to from then on. Polls. */
function* snapshot(
  world: World,
  ctx: AioContext,
  below: BlockDriverState,
  number: number,
): Polls<BlockDriverState> {
  const top = yield* makeImage(world, `snapshot${number}`);
  yield* aioContextAcquire(ctx);
  yield* bdrvDrainedBegin(below, SNAPSHOT);
  yield* bdrvAppend(top, below);
  yield* bdrvDrainedEnd(below, SNAPSHOT);
  aioContextRelease(ctx);
  yield* world.sleep(PAUSE_NS);
  return top;
}

/** A filter above `bs`, for a while. Polls. */
function* comeAndGo(
  world: World,
  ctx: AioContext,
  bs: BlockDriverState,
  name: string,
): Polls<void> {
  yield* aioContextAcquire(ctx);
  const filter = yield* bdrvInsertNode(bs, filterDriver, name);
  aioContextRelease(ctx);
  yield* world.sleep(PAUSE_NS);
  yield* aioContextAcquire(ctx);
  yield* bdrvDropFilter(filter);
  yield* bdrvUnref(filter);
  aioContextRelease(ctx);
}

function below(bs: BlockDriverState, which: "file" | "backing"): BlockDriverState {
  const edge = which === "file" ? fileOf(bs, BELOW) : backingOf(bs, BELOW);
  return must(edgeBs(must(edge, "the image has one"), BELOW), "it points at a node");
}
