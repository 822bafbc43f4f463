// A storm: random legal operations on a graph of up to thirty nodes in three iothreads, while six guests do requests, with
// failures injected into the transactions.
//
// For the invariants: run it with `checkInvariants`, over many seeds. Every operation that is refused must leave the graph as it
// was, no drain may be endless (the run would end in a deadlock or at its limit of steps), and when all is given back there
// must be no node left.

import {
  type BlockBackend,
  blkCoFlush,
  blkCoPdiscard,
  blkCoPreadv,
  blkCoPwritev,
  blkCoPwriteZeroes,
  blkNew,
  blkUnref,
} from "#core/backend";
import { AssertionError, assert, must, type Prng } from "#core/base";
import { BLK_PERM_CONSISTENT_READ, BLK_PERM_WRITE, bdrvAllStates } from "#core/graph";
import {
  type AioContext,
  type Co,
  hostAllocate,
  machine,
  type Polls,
  qemuCoSleepNs,
} from "#core/sched";
import type { Scenario } from "../scenario.ts";
import type { World } from "../world.ts";
import { endJob } from "./job-moves.ts";
import { endSection, MOVES, type Move, NODE_BYTES, unfreezeChain } from "./moves.ts";
import { unblockOperation } from "./node-moves.ts";
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
  if (isDevice) drive.dev = { id: drive.name };
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
    const draw = prng.below(8);
    if (draw < 3) yield* blkCoPreadv(drive, offset, bytes, qiov);
    else if (draw < 5) yield* blkCoPwritev(drive, offset, bytes, qiov);
    else if (draw < 6) yield* blkCoPwriteZeroes(drive, offset, bytes);
    else if (draw < 7) yield* blkCoPdiscard(drive, offset, bytes);
    else yield* blkCoFlush(drive);
  }
}

/** Drop everything; the graph is empty then. Polls. */
function* giveBack(state: StormState): Polls<void> {
  yield* state.carryOut("give back", function* (): Polls<void> {
    for (const drive of state.drives) {
      drive.dev = null;
      yield* blkUnref(drive);
    }
    for (let bs = state.held(); bs !== undefined; bs = state.held()) yield* state.unref(bs);
  });
  assert(bdrvAllStates().length === 0, "when all references are dropped, no node is left");
}
