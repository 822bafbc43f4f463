// A storm: random legal operations on a graph of up to thirty nodes in three iothreads, while six guests do requests, with
// failures injected into the transactions.
//
// For the invariants: run it with `checkInvariants`, over many seeds. Every operation that is refused must leave the graph as it
// was, no drain may be endless (the run would end in a deadlock or at its limit of steps), and when all is given back there
// must be no node left.

import {
  type BlockBackend,
  type BlockCompletionFunc,
  blkAioFlush,
  blkAioPdiscard,
  blkAioPreadv,
  blkAioPwritev,
  blkAioPwriteZeroes,
  blkCoFlush,
  blkCoPdiscard,
  blkCoPreadv,
  blkCoPwritev,
  blkCoPwriteZeroes,
  blkDetachDev,
  blkErrorAction,
  blkGetErrorAction,
  blkIostatusEnable,
  blkIostatusIsEnabled,
  blkNew,
  blkSetDevOps,
  blkUnref,
} from "#core/backend";
import { AssertionError, assert, must, type Prng } from "#core/base";
import { BLK_PERM_CONSISTENT_READ, BLK_PERM_WRITE, bdrvAllStates, type Qiov } from "#core/graph";
import {
  type AioContext,
  aioCoWake,
  type Co,
  hostAllocate,
  machine,
  type Polls,
  qemuCoroutineSelf,
  qemuCoroutineYield,
  qemuCoSleepNs,
} from "#core/sched";
import type { Scenario } from "../scenario.ts";
import type { World } from "../world.ts";
import { StormDevice } from "./device-moves.ts";
import { endJob } from "./job-moves.ts";
import { endSection, MOVES, type Move, unfreezeChain } from "./moves.ts";
import { unblockOperation } from "./node-moves.ts";
import { NODE_BYTES } from "./shapes.ts";
import { StormState, type StormTally } from "./storm-state.ts";

const IOTHREADS = 3;
const GUESTS = 6;
/** BlockBackends without a guest, which follow their node to another context. */
const IDLE_DRIVES = 2;
/** What a guest asks for at most, and its pauses. */
const REQUEST_BYTES = 65_536;
const GUEST_PAUSE_NS = 20_000;
/** Pause between two operations. */
const PAUSE_NS = 10_000;

/** The scenario; `report` is told what became of the operations. */
export function storm(
  report: (tallies: ReadonlyMap<string, StormTally>) => void = () => undefined,
): Scenario {
  return {
    name: "storm",
    title:
      "Random operations on a graph of up to thirty nodes, under guests, with failures injected.",
    params: { operations: "60" },
    // What is found depends on what was drawn, and every hole of QEMU's protocol may be in it.
    expected: [{ finds: [], others: true }],
    *main(world): Polls<void> {
      report(yield* main(world));
    },
  };
}

function* main(world: World): Polls<ReadonlyMap<string, StormTally>> {
  const contexts = [machine.mainContext];
  for (let index = 0; index < IOTHREADS; index++) contexts.push(world.iothread(`io${index}`));
  const drives = Array.from({ length: GUESTS + IDLE_DRIVES }, (_, index) =>
    newDrive(contexts, index),
  );
  const state = new StormState(world, contexts, drives);
  let isOver = false;
  for (const [index, drive] of drives.slice(0, GUESTS).entries()) {
    const prng = world.prng.fork(index);
    world.guest(drive.ctx, () => guest(drive, prng, () => !isOver));
  }
  for (let left = world.number("operations"); left > 0; left--) {
    const move = drawMove(world.prng);
    yield* state.carryOut(move.name, () => move.carryOut(state));
    if (world.prng.chance(1, 3)) yield* world.sleep(world.prng.below(PAUSE_NS));
  }
  isOver = true;
  // A guest's request may wait at a gate that one of them keeps closed.
  while (state.sections.length > 0) yield* endSection(state);
  yield* world.joinGuests();
  while (state.jobs.length > 0) yield* endJob(state);
  while (state.frozen.length > 0) yield* unfreezeChain(state);
  while (state.blocks.length > 0) yield* unblockOperation(state);
  yield* giveBack(state);
  yield* world.stopIothreads();
  return state.tallies;
}

/** Those with a guest belong to a device, which keeps its context; the others follow their node. */
function newDrive(contexts: readonly AioContext[], index: number): BlockBackend {
  const ctx = must(contexts[1 + (index % IOTHREADS)], "there are so many iothreads");
  const isDevice = index < GUESTS;
  const drive = blkNew(ctx, {
    name: `drive${index}`,
    allowAioContextChange: !isDevice,
    perm: isDevice ? BLK_PERM_CONSISTENT_READ | BLK_PERM_WRITE : 0,
  });
  blkIostatusEnable(drive);
  if (isDevice) {
    const device = new StormDevice(drive.name);
    drive.dev = device;
    blkSetDevOps(drive, device.ops());
  }
  return drive;
}

function drawMove(prng: Prng): Move {
  let draw = prng.below(MOVES.reduce((sum, { weight }) => sum + weight, 0));
  for (const move of MOVES) {
    draw -= move.weight;
    if (draw < 0) return move;
  }
  throw new AssertionError("a draw falls on a move");
}

/** Requests of any kind; what they return is not looked at, as the graph below changes under them. */
function* guest(drive: BlockBackend, prng: Prng, goesOn: () => boolean): Co<void> {
  const qiov = { buffer: hostAllocate(REQUEST_BYTES), start: 0 };
  while (goesOn()) {
    yield* qemuCoSleepNs(1 + prng.below(GUEST_PAUSE_NS));
    const bytes = 512 * (1 + prng.below(REQUEST_BYTES / 512));
    const offset = 512 * prng.below((NODE_BYTES - bytes) / 512);
    const request: Request = { offset, bytes, qiov };
    const draw = prng.below(WAYS.length);
    const way = must(WAYS[draw], "a draw falls on a way");
    const ret = yield* prng.chance(1, 3) ? viaAio(drive, way, request) : way.co(drive, request);
    if (ret >= 0) continue;
    const action = blkGetErrorAction(drive, way.isRead, -ret);
    if (action !== "stop" || blkIostatusIsEnabled(drive))
      blkErrorAction(drive, action, way.isRead, -ret);
  }
}

/** A request by its callback. */
function* viaAio(drive: BlockBackend, way: Way, request: Request): Co<number> {
  const self = qemuCoroutineSelf();
  let result = 0;
  way.aio(drive, request, (ret): undefined => {
    result = ret;
    aioCoWake(self);
  });
  yield* qemuCoroutineYield();
  return result;
}

interface Request {
  readonly offset: number;
  readonly bytes: number;
  readonly qiov: Qiov;
}

/** A kind of request, as a coroutine does it and with a callback. */
interface Way {
  readonly isRead: boolean;
  readonly co: (drive: BlockBackend, request: Request) => Co<number>;
  readonly aio: (drive: BlockBackend, request: Request, cb: BlockCompletionFunc) => void;
}

const READ: Way = {
  isRead: true,
  co: (drive, { offset, bytes, qiov }) => blkCoPreadv(drive, offset, bytes, qiov),
  aio: (drive, { offset, bytes, qiov }, cb) => blkAioPreadv(drive, offset, bytes, qiov, cb),
};
const WRITE: Way = {
  isRead: false,
  co: (drive, { offset, bytes, qiov }) => blkCoPwritev(drive, offset, bytes, qiov),
  aio: (drive, { offset, bytes, qiov }, cb) => blkAioPwritev(drive, offset, bytes, qiov, cb),
};
const ZEROES: Way = {
  isRead: false,
  co: (drive, { offset, bytes }) => blkCoPwriteZeroes(drive, offset, bytes),
  aio: (drive, { offset, bytes }, cb) => blkAioPwriteZeroes(drive, offset, bytes, cb),
};
const DISCARD: Way = {
  isRead: false,
  co: (drive, { offset, bytes }) => blkCoPdiscard(drive, offset, bytes),
  aio: (drive, { offset, bytes }, cb) => blkAioPdiscard(drive, offset, bytes, cb),
};
const FLUSH: Way = {
  isRead: false,
  co: (drive) => blkCoFlush(drive),
  aio: (drive, _request, cb) => blkAioFlush(drive, cb),
};
/** Reads come most often, then writes. */
const WAYS: readonly Way[] = [READ, READ, READ, WRITE, WRITE, ZEROES, DISCARD, FLUSH];

/** Drop everything; the graph is empty then. Polls. */
function* giveBack(state: StormState): Polls<void> {
  yield* state.carryOut("give back", function* (): Polls<void> {
    for (const drive of state.drives) {
      // The reference of a device that was attached.
      if (drive.dev !== null && !(drive.dev instanceof StormDevice))
        yield* blkDetachDev(drive, drive.dev);
      drive.dev = null;
      yield* blkUnref(drive);
    }
    for (let bs = state.held(); bs !== undefined; bs = state.held()) yield* state.letGo(bs);
  });
  assert(bdrvAllStates().length === 0, "when all references are dropped, no node is left");
}
