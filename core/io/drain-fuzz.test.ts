// Drains of every kind, from main and from the coroutines of two iothreads, under guests' requests and random schedules: all
// of it comes to an end, and every counter is back at 0.

import { describe, expect, it } from "vitest";
import {
  type BlockBackend,
  blkCoFlush,
  blkCoPreadv,
  blkCoPwritev,
  blkDrain,
  blkNewWithBs,
  blkSetAioContext,
} from "../backend/index.ts";
import { must, Prng } from "../base/index.ts";
import { assertGraphInvariants, type BlockDriverState, bdrvAllStates } from "../graph/index.ts";
import {
  type AioContext,
  type Co,
  hostAllocate,
  iothreadCreate,
  type Polls,
  qemuCoSleepNs,
  type Scheduler,
} from "../sched/index.ts";
import {
  bdrvCoDrain,
  bdrvCoDrainedBegin,
  bdrvCoDrainedEnd,
  bdrvCoSubtreeDrainedBegin,
  bdrvCoSubtreeDrainedEnd,
  bdrvDrainAllBegin,
  bdrvDrainAllEnd,
  bdrvDrainedBegin,
  bdrvDrainedEnd,
  bdrvSubtreeDrainedBegin,
  bdrvSubtreeDrainedEnd,
  qiovOf,
} from "./index.ts";
import {
  type Guest,
  guest,
  joinGuests,
  NO_SITE,
  READ_NS,
  runDrawn,
  sleepMain,
} from "./test-support.ts";

interface Disk {
  readonly blk: BlockBackend;
  readonly nodes: readonly BlockDriverState[];
  readonly ctx: AioContext;
}

function randomScheduler(prng: Prng): Scheduler {
  return { pick: (runnable) => prng.pick(runnable) };
}

function* guestRequests(prng: Prng, { blk }: Disk): Co<void> {
  const buffer = qiovOf(hostAllocate(512));
  for (let i = 0; i < 8; i++) {
    const offset = 512 * prng.below(64);
    const kind = prng.below(4);
    if (kind === 0) yield* blkCoFlush(blk);
    else if (kind === 1) expect(yield* blkCoPwritev(blk, offset, 512, buffer)).toBe(0);
    else expect(yield* blkCoPreadv(blk, offset + prng.below(9), 100, buffer)).toBe(0);
  }
}

function* coroutineDrains(prng: Prng, { nodes }: Disk): Co<void> {
  for (let i = 0; i < 3; i++) {
    const bs = prng.pick(nodes);
    yield* qemuCoSleepNs(prng.below(3 * READ_NS));
    const kind = prng.below(3);
    if (kind === 0) {
      yield* bdrvCoDrain(bs, NO_SITE);
    } else if (kind === 1) {
      yield* bdrvCoDrainedBegin(bs, NO_SITE);
      yield* qemuCoSleepNs(prng.below(READ_NS));
      yield* bdrvCoDrainedEnd(bs, NO_SITE);
    } else {
      yield* bdrvCoSubtreeDrainedBegin(bs, NO_SITE);
      yield* qemuCoSleepNs(prng.below(READ_NS));
      yield* bdrvCoSubtreeDrainedEnd(bs, NO_SITE);
    }
  }
}

function* mainDrains(prng: Prng, disks: readonly Disk[]): Polls<void> {
  for (let i = 0; i < 6; i++) {
    const disk = prng.pick(disks);
    const bs = prng.pick(disk.nodes);
    yield* sleepMain(prng.below(2 * READ_NS));
    const kind = prng.below(4);
    if (kind === 0) yield* bdrvDrainedBegin(bs, NO_SITE);
    else if (kind === 1) yield* bdrvSubtreeDrainedBegin(bs, NO_SITE);
    else if (kind === 2) yield* bdrvDrainAllBegin(NO_SITE);
    else yield* blkDrain(disk.blk, NO_SITE);
    yield* sleepMain(prng.below(READ_NS));
    if (kind === 0) yield* bdrvDrainedEnd(bs, NO_SITE);
    else if (kind === 1) yield* bdrvSubtreeDrainedEnd(bs, NO_SITE);
    else if (kind === 2) yield* bdrvDrainAllEnd(NO_SITE);
  }
}

function runSeed(seed: number): void {
  const prng = new Prng(seed);
  runDrawn(
    "a1 -x-> a0 -y-> a2\nb1 -x-> b0 -y-> b2\nb3 -z-> b2",
    function* ({ node, counters }): Polls<void> {
      const disks: Disk[] = [];
      for (const letter of ["a", "b"]) {
        const blk = yield* blkNewWithBs(node(`${letter}1`), { allowAioContextChange: true });
        const ctx = iothreadCreate(letter);
        yield* blkSetAioContext(blk, ctx);
        disks.push({ blk, ctx, nodes: [0, 1, 2].map((i) => node(`${letter}${i}`)) });
      }
      const busy: Guest[] = [];
      for (const disk of disks) {
        for (let i = 0; i < 3; i++)
          busy.push(guest(disk.ctx, () => guestRequests(prng.fork(i), disk)));
        busy.push(guest(disk.ctx, () => coroutineDrains(prng.fork(9), disk)));
        busy.push(guest(must(disks[0], "a disk").ctx, () => coroutineDrains(prng.fork(8), disk)));
      }
      yield* mainDrains(prng.fork(7), disks);
      yield* joinGuests(...busy);
      expect(counters()).toMatch(/^((a|b)\d 0\/0\/0, )+blk1 0, blk2 0$/);
      for (const bs of bdrvAllStates())
        expect([bs.inFlight, bs.trackedRequests.length, bs.serialisingInFlight]).toEqual([0, 0, 0]);
      for (const { ctx } of disks) expect(ctx.externalDisableCount).toBe(0);
      assertGraphInvariants(bdrvAllStates());
    },
    { scheduler: randomScheduler(prng.fork(1)) },
  );
}

describe("drains of all kinds at once", () => {
  it("come to an end and leave every counter at 0, in 100 schedules", () => {
    for (let seed = 1; seed <= 100; seed++) {
      try {
        runSeed(seed);
      } catch (error) {
        throw new Error(`seed ${seed}`, { cause: error });
      }
    }
  });
});
