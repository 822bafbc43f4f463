// Guests in an iothread read, write and flush without pause while the main context edits the graph below them, under random
// schedules. With all patches on every operation ends, no assertion fails, every request succeeds, and drains balance.

import { describe, expect, it } from "vitest";
import {
  type BlockBackend,
  blkCoFlush,
  blkCoPreadv,
  blkCoPwritev,
  blkInsertBs,
  blkNew,
  blkUnref,
} from "../backend/index.ts";
import { Prng, type VirtualNs } from "../base/index.ts";
import {
  filterDriver,
  nullAioDriver,
  nullOpen,
  overlayOpen,
  quorumOpen,
  rawOpen,
} from "../drivers/index.ts";
import { qiovOf } from "../io/index.ts";
import {
  type AioContext,
  aioCoEnter,
  aioPoll,
  type Co,
  clockNs,
  hostAllocate,
  iothreadCreate,
  machine,
  type PatchNumber,
  type Polls,
  qemuCoroutineCreate,
  type Scheduler,
  timerMod,
  timerNew,
} from "../sched/index.ts";
import { runMain } from "../sched/test-support.ts";
import {
  assertGraphInvariants,
  type BlockDriverState,
  bdrvAddChild,
  bdrvAllStates,
  bdrvAppend,
  bdrvDelChild,
  bdrvDropFilter,
  bdrvInsertNode,
  bdrvReplaceNode,
  bdrvSetBackingHd,
  bdrvUnref,
} from "./index.ts";

const SEEDS = 20;
const DEPTH = 6;
const ROUNDS = 6;
const SIZE = 1 << 20;

interface Load {
  readonly blk: BlockBackend;
  stopping: boolean;
  running: number;
  requests: number;
  readonly failures: number[];
}

function* guest(load: Load, prng: Prng): Co<void> {
  const qiov = qiovOf(hostAllocate(4096 as never));
  while (!load.stopping) {
    const offset = prng.below(SIZE / 4096) * 4096;
    const choice = prng.below(8);
    const ret =
      choice === 0
        ? yield* blkCoFlush(load.blk)
        : choice < 4
          ? yield* blkCoPwritev(load.blk, offset, 4096, qiov)
          : yield* blkCoPreadv(load.blk, offset, 4096, qiov);
    load.requests++;
    if (ret < 0) load.failures.push(ret);
  }
  load.running--;
}

function startGuests(blk: BlockBackend, ctx: AioContext, prng: Prng): Load {
  const load: Load = { blk, stopping: false, running: DEPTH, requests: 0, failures: [] };
  for (let i = 0; i < DEPTH; i++) {
    const co = qemuCoroutineCreate(() => guest(load, prng.fork(i)));
    aioCoEnter(ctx, co);
  }
  return load;
}

/** Let the main loop turn for a while, as it would between two commands. */
function* breathe(ns: number): Polls<void> {
  let over = false;
  const timer = timerNew(machine.mainContext, () => {
    over = true;
    return undefined;
  });
  timerMod(timer, (clockNs() + ns) as VirtualNs);
  while (!over) yield* aioPoll(machine.mainContext, true);
}

function* newDisk(name: string): Polls<BlockDriverState> {
  const file = yield* nullOpen(nullAioDriver, {
    nodeName: `${name}-file`,
    size: SIZE,
    latencyNs: 500,
  });
  return yield* rawOpen(name, file);
}

function* editRound(top: BlockDriverState, disk: BlockDriverState, name: string): Polls<void> {
  const filter = yield* bdrvInsertNode(top, filterDriver, `${name}-filter`);
  yield* breathe(3000);
  yield* bdrvDropFilter(filter);
  yield* bdrvUnref(filter);
  yield* breathe(3000);
  const overlay = yield* overlayOpen({
    nodeName: `${name}-overlay`,
    size: SIZE,
    clusterBytes: 4096,
  });
  yield* bdrvAppend(overlay, disk);
  yield* breathe(3000);
  yield* bdrvReplaceNode(overlay, disk);
  yield* bdrvSetBackingHd(overlay, null);
  yield* bdrvUnref(overlay);
  const second = yield* newDisk(`${name}-second`);
  yield* bdrvAddChild(top, second);
  yield* breathe(3000);
  const edge = top.rawChildren.snapshot().find((child) => child.rawBs === second);
  if (edge !== undefined) yield* bdrvDelChild(top, edge);
  yield* bdrvUnref(second);
}

function* underLoad(prng: Prng, loads: Load[]): Polls<void> {
  const ctx = iothreadCreate("io1");
  const disk = yield* newDisk("disk");
  const top = yield* quorumOpen("top", [disk]);
  const blk = blkNew(ctx, {});
  yield* blkInsertBs(blk, top);
  yield* bdrvUnref(top);
  const load = startGuests(blk, ctx, prng);
  loads.push(load);
  for (let round = 0; round < ROUNDS; round++) {
    yield* breathe(5000);
    yield* editRound(top, disk, `r${round}`);
    assertGraphInvariants(bdrvAllStates());
  }
  load.stopping = true;
  while (load.running > 0) yield* breathe(1000);
  yield* blkUnref(blk);
  expect(bdrvAllStates()).toEqual([]);
  expect(ctx.externalDisableCount).toBe(0);
}

function randomly(prng: Prng): Scheduler {
  return { pick: (runnable, fallback) => (prng.chance(1, 3) ? prng.pick(runnable) : fallback) };
}

describe("edits under load", () => {
  it.each<{ without: readonly PatchNumber[] }>([{ without: [] }, { without: [10, 11] }])(
    `end well in ${SEEDS} schedules without patches $without`,
    ({ without }) => {
      for (let seed = 0; seed < SEEDS; seed++) {
        const loads: Load[] = [];
        const prng = new Prng(seed);
        const scheduler = randomly(prng.fork(77));
        const run = runMain(() => underLoad(prng, loads), { without, scheduler });
        const text = run.machine.assertion?.message ?? "";
        expect({ seed, outcome: run.outcome, text }).toEqual({ seed, outcome: "ok", text: "" });
        expect(loads[0]?.failures).toEqual([]);
        expect(loads[0]?.requests ?? 0).toBeGreaterThan(100);
      }
    },
  );
});
