// Mirrors of small images in memory: what is copied, what guests notice, how the job ends, and what graph it leaves.

import { describe, expect, it } from "vitest";
import {
  type BlockBackend,
  blkNewWithBs,
  blkPread,
  blkPwrite,
  blkPwriteZeroes,
  blkSetAioContext,
} from "../../backend/index.ts";
import { ECANCELED, EINVAL, EIO } from "../../base/index.ts";
import { InjectErrorState, injectErrorDriver, overlayOpen, rawOpen } from "../../drivers/index.ts";
import { bufferOf, textOf } from "../../drivers/test-support.ts";
import {
  assertGraphInvariants,
  BDRV_CHILD_FILTERED,
  BDRV_CHILD_PRIMARY,
  type BlockDriverState,
  bdrvAllStates,
  bdrvOpenDriver,
  bdrvRef,
  bdrvSetBackingHd,
  graphToText,
  settle,
} from "../../graph/index.ts";
import { bdrvDrainedBegin, bdrvDrainedEnd } from "../../io/index.ts";
import { sleepMain } from "../../io/test-support.ts";
import {
  aioPoll,
  hostAllocate,
  iothreadCreate,
  iothreadStopJoin,
  machine,
  type Polls,
} from "../../sched/index.ts";
import { runMain } from "../../sched/test-support.ts";
import {
  type BlockJob,
  type Job,
  jobCancelSync,
  jobCompleteSyncLocked,
  jobNext,
  type MirrorOptions,
  mirrorStart,
  withJobLockPolls,
} from "../index.ts";
import { DirtyChunks } from "./dirty-chunks.ts";

const NO_SITE = 0 as never;
const SIZE = 32;
/** Lengths are whole sectors: so much is copied. */
const LENGTH = 512;
const FULL: MirrorOptions = { sync: "full", filterNodeName: "filter", granularity: 8 };

/** A guest on a source of SIZE bytes, and a target of as many. */
interface Disks {
  readonly blk: BlockBackend;
  readonly source: BlockDriverState;
  readonly target: BlockDriverState;
}

function* openDisks(targetSize = SIZE): Polls<Disks> {
  const source = yield* overlayOpen({ nodeName: "source", size: SIZE, clusterBytes: 8 });
  const target = yield* overlayOpen({ nodeName: "target", size: targetSize, clusterBytes: 8 });
  const blk = yield* blkNewWithBs(source, { perm: 3 });
  yield* blkPwrite(blk, 0, SIZE, bufferOf("abcdefghijklmnopqrstuvwxyzABCDEF"));
  return { blk, source, target };
}

/** What is in `bs`, read through a BlockBackend of its own that stays. */
function* contents(bs: BlockDriverState): Polls<string> {
  const blk = yield* blkNewWithBs(bs, { perm: 0 });
  const buffer = hostAllocate(SIZE);
  expect(yield* blkPread(blk, 0, SIZE, buffer)).toBe(0);
  return textOf(buffer);
}

function run(body: () => Polls<void>): void {
  const result = runMain(function* (): Polls<void> {
    yield* body();
    expect(jobNext(null)).toBeNull();
    assertGraphInvariants(bdrvAllStates());
    expect(bdrvAllStates().map((bs) => [bs.nodeName, bs.quiesceCounter, bs.inFlight])).toEqual(
      bdrvAllStates().map((bs) => [bs.nodeName, 0, 0]),
    );
  });
  expect([result.outcome, result.machine.assertion?.message]).toEqual(["ok", undefined]);
}

function* until(condition: () => boolean): Polls<void> {
  while (!condition()) yield* aioPoll(machine.mainContext, true);
}

function* complete(job: Job): Polls<number> {
  return yield* withJobLockPolls(() => jobCompleteSyncLocked(job));
}

function* start({ source, target }: Disks, options = FULL): Polls<BlockJob> {
  return yield* mirrorStart("job0", source, target, options);
}

describe("a mirror", () => {
  it("copies everything, follows the guest, and puts the target in the place of the source", () => {
    run(function* (): Polls<void> {
      const disks = yield* openDisks();
      const { blk, source, target } = disks;
      const { job } = yield* start(disks);
      expect(graphToText()).toContain("filter -backing-> source");
      yield* until(() => job.status === "ready");
      expect(yield* blkPwrite(blk, 9, 2, bufferOf("XY"))).toBe(0);
      expect(yield* blkPwriteZeroes(blk, 30, 2)).toBe(0);
      bdrvRef(source);
      bdrvRef(target);
      expect(yield* complete(job)).toBe(0);
      const expected = "abcdefghiXYlmnopqrstuvwxyzABCD..";
      expect(blk.rawRoot?.rawBs).toBe(target);
      expect(yield* contents(target)).toBe(expected);
      expect(yield* contents(source)).toBe(expected);
      expect(graphToText()).not.toContain("filter");
      // The guest goes on, on the target alone.
      expect(yield* blkPwrite(blk, 0, 1, bufferOf("Z"))).toBe(0);
      expect((yield* contents(target))[0]).toBe("Z");
      expect((yield* contents(source))[0]).toBe("a");
    });
  });

  it("copies only what is written, when asked to; a cancel leaves the guest where it was", () => {
    run(function* (): Polls<void> {
      const disks = yield* openDisks();
      const { blk, source, target } = disks;
      const { job } = yield* start(disks, { ...FULL, sync: "none" });
      yield* until(() => job.status === "ready");
      expect(yield* blkPwrite(blk, 17, 1, bufferOf("X"))).toBe(0);
      expect(yield* jobCancelSync(job, false)).toBe(0);
      expect(yield* contents(target)).toBe("................qXstuvwx........");
      expect(blk.rawRoot?.rawBs).toBe(source);
    });
  });

  it("is cancelled by force at once, and before it is ready in any case", () => {
    run(function* (): Polls<void> {
      const disks = yield* openDisks();
      const { job } = yield* start(disks, { ...FULL, speed: 8 });
      yield* sleepMain(1000);
      expect(job.status).toBe("running");
      expect(yield* jobCancelSync(job, false)).toBe(-ECANCELED);
      expect(disks.blk.rawRoot?.rawBs).toBe(disks.source);
      expect(yield* contents(disks.target)).not.toBe(yield* contents(disks.source));
    });
  });

  it("keeps to its speed, and stops while its source is drained", () => {
    run(function* (): Polls<void> {
      const disks = yield* openDisks();
      const { job } = yield* start(disks, { ...FULL, speed: 640 });
      yield* sleepMain(250_000_000);
      yield* bdrvDrainedBegin(disks.source, NO_SITE);
      expect([job.paused, job.busy, job.status]).toEqual([true, false, "paused"]);
      const copied = job.progress.current;
      expect([copied > 0, copied < LENGTH]).toEqual([true, true]);
      yield* sleepMain(1_000_000_000);
      expect(job.progress.current).toBe(copied);
      yield* bdrvDrainedEnd(disks.source, NO_SITE);
      yield* until(() => job.status === "ready");
      expect(job.progress.current).toBe(LENGTH);
      yield* jobCancelSync(job, true);
    });
  });

  it("works in the iothread of its source, where a target in main comes along", () => {
    run(function* (): Polls<void> {
      const ctx = iothreadCreate("io0");
      const disks = yield* openDisks();
      const { blk, source, target } = disks;
      yield* blkSetAioContext(blk, ctx);
      const { job } = yield* start(disks);
      expect([source, target].map((bs) => bs.aioContext.name)).toEqual(["io0", "io0"]);
      expect(job.aioContext.name).toBe("io0");
      bdrvRef(source);
      while (job.status !== "ready") yield* sleepMain(1000);
      expect(yield* complete(job)).toBe(0);
      expect(blk.rawRoot?.rawBs).toBe(target);
      expect(yield* contents(target)).toBe("abcdefghijklmnopqrstuvwxyzABCDEF");
      yield* iothreadStopJoin(ctx);
    });
  });

  it("fails when it cannot read or write, and leaves the guest where it was", () => {
    run(function* (): Polls<void> {
      const disks = yield* openDisks();
      const role = BDRV_CHILD_FILTERED | BDRV_CHILD_PRIMARY;
      const rules = new InjectErrorState([{ types: ["write"], offset: 8, bytes: 8 }]);
      const bad = yield* bdrvOpenDriver(injectErrorDriver, "bad", {
        opaque: rules,
        children: [{ name: "file", role, bs: disks.target }],
      });
      let result = 1;
      const cb = (ret: number): undefined => {
        result = ret;
      };
      yield* mirrorStart("job0", disks.source, bad, { ...FULL, cb });
      yield* until(() => result <= 0);
      expect(result).toBe(-EIO);
      expect(disks.blk.rawRoot?.rawBs).toBe(disks.source);
    });
  });

  it("needs a target of the same length", () => {
    run(function* (): Polls<void> {
      const disks = yield* openDisks(SIZE * 32);
      let message: string | null = "";
      const { job } = yield* start(disks, {
        ...FULL,
        cb: () => {
          message = job.err;
          return undefined;
        },
      });
      yield* until(() => job.status === "null");
      expect([job.ret, message]).toEqual([-EINVAL, "Source and target image have different sizes"]);
    });
  });

  it("refuses a target that is the source, or lies below it, and changes nothing", () => {
    run(function* (): Polls<void> {
      const { source, target } = yield* openDisks();
      const before = graphToText();
      const refusal = function* (to: BlockDriverState): Polls<string> {
        const outcome = yield* settle(() => mirrorStart("job0", source, to, FULL));
        return outcome.ok ? "started" : outcome.error.message;
      };
      expect(yield* refusal(source)).toBe("Can't mirror node into itself");
      expect(graphToText()).toBe(before);
      bdrvRef(target);
      const raw = yield* rawOpen("raw", target);
      yield* bdrvSetBackingHd(source, target);
      const below = graphToText();
      expect(yield* refusal(target)).toBe("Cannot mirror to a node in the source's backing chain");
      expect(graphToText()).toBe(below);
      expect(raw.closed).toBe(false);
    });
  });

  it("that cannot have its permissions leaves the graph as it was", () => {
    run(function* (): Polls<void> {
      const disks = yield* openDisks();
      yield* blkNewWithBs(disks.target, { name: "other", perm: 1, sharedPerm: 1 });
      const before = graphToText();
      const outcome = yield* settle(() => start(disks));
      expect(outcome.ok).toBe(false);
      expect(graphToText()).toBe(before);
      expect(yield* blkPwrite(disks.blk, 0, 1, bufferOf("Z"))).toBe(0);
    });
  });
});

describe("dirty chunks", () => {
  it("are taken in order, round and round, the last one cut at the end", () => {
    const dirty = new DirtyChunks(20, 8);
    expect(dirty.take()).toBeNull();
    dirty.set(7, 2);
    dirty.set(19, 100);
    expect(dirty.dirtyBytes).toBe(24);
    expect(dirty.take()).toEqual({ offset: 0, bytes: 8 });
    dirty.set(0, 1);
    expect(dirty.take()).toEqual({ offset: 8, bytes: 8 });
    expect(dirty.take()).toEqual({ offset: 16, bytes: 4 });
    expect(dirty.take()).toEqual({ offset: 0, bytes: 8 });
    expect(dirty.take()).toBeNull();
    dirty.set(5, 0);
    dirty.set(20, 8);
    expect(dirty.dirtyBytes).toBe(0);
  });
});
