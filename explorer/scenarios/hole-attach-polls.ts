// Known hole: with patch 4, a drain that ends in an iothread while `attach` polls leaves a level behind.
//
//      drive --> top . . backing . .> base     base: its driver's begin hook takes a pause; main attaches the edge
//
//   main                                       io0                            levels of: base   edge   top and drive
//     .                                        J: drained_begin(base)                    1      -      0
//   set_backing_hd(top, base)
//     T: subtree_drained_begin(top)                                                      1      -      1
//     B: subtree_drained_begin(base): waits                                              2      -      1
//        for the hook
//     the edge catches up with base                                                      2      2      3
//     attach: T comes down to base, waits                                                3      2      3
//        for the hook                          J: drained_end(base)                      2      2      3
//     links the edge into parents(base)        (the edge was not in parents(base): nobody told it)
//     B: subtree_drained_end(base)                                                       1      1      2
//     T: subtree_drained_end(top)                                                        0      1      1  for ever
//     .                                        a read at drive: queued, for ever
//
// (Left out is the plain drain of top that 7.2 has around all this.)
//
// Where: bdrv_replace_child_noperm (block.c:2829) with patch 4, which calls `attach` first and links the edge into the new
// node's parents afterwards. What the edge owes was settled before; `attach` polls (bdrv_apply_subtree_drain, io.c:574), and
// a drained_end meanwhile does not find the edge. Why no drain covers it: main does drain base, all the time, so patch 11 has
// no objection, but drains do not exclude one another. With the order of 7.2 (patch 4 off) the edge is linked before the poll,
// and all comes out even. The mirror image, a drain that begins meanwhile (`drain` other than "ends"), fails QEMU's assertion
// `c->parent_quiesce_counter > 0` when it ends. That a drain in an iothread reads `parents` uncounted is hole-iothread-drain;
// here the hook's counter happens to order the reads.

import { blkCoPreadv } from "#core/backend";
import { nullCoDriver, nullOpen, overlayOpen } from "#core/drivers";
import { type BlockDriver, type BlockDriverState, bdrvSetBackingHd } from "#core/graph";
import { bdrvDrainedBegin, bdrvDrainedEnd, qiovOf } from "#core/io";
import { site } from "#core/probe";
import { type Co, coRunOutside, hostAllocate, type Polls, qemuCoSleepNs } from "#core/sched";
import type { ExpectedFinding, Scenario } from "../scenario.ts";
import type { World } from "../world.ts";
import { CLUSTER_BYTES, NODE_BYTES, openDrive, PAUSE_NS } from "./hole-chain.ts";

const JOB = site("hole_job_drain");

const LUCKY: readonly ExpectedFinding[] = [
  "bdrv_parent_drained_begin",
  "bdrv_parent_drained_poll",
  "bdrv_parent_drained_end",
].map((reader) => ({
  rule: "covered-by-luck",
  list: "parents",
  node: "base",
  reader,
  editor: "bdrv_replace_child_noperm",
  operation: "bdrv_set_backing_hd",
}));

const holeAttachPolls: Scenario = {
  name: "hole-attach-polls",
  title:
    "A drain ends in an iothread while main, attaching an edge, polls: a level is left behind.",
  params: { drain: "ends" },
  expected: [
    { finds: [{ rule: "leaked-level", node: "base" }, ...LUCKY] },
    { without: [4], finds: LUCKY },
  ],
  main,
};

export default holeAttachPolls;

/** Its hook yields, as the hooks of drivers may. */
const slowToDrain: BlockDriver = {
  ...nullCoDriver,
  formatName: "slow-to-drain",
  *coDrainBegin(): Co<void> {
    yield* qemuCoSleepNs(PAUSE_NS);
  },
};

function* main(world: World): Polls<void> {
  const ctx = world.iothread("io0");
  const base = yield* nullOpen(slowToDrain, { nodeName: "base", size: NODE_BYTES, ctx });
  const top = yield* overlayOpen({ nodeName: "top", size: NODE_BYTES });
  const drive = yield* openDrive(ctx, top);
  world.guest(ctx, () => drainFor(base, world.param("drain") === "ends" ? 0 : 3 * PAUSE_NS));
  world.guest(ctx, function* (): Co<void> {
    yield* qemuCoSleepNs(7 * PAUSE_NS);
    yield* blkCoPreadv(drive, 0, CLUSTER_BYTES, qiovOf(hostAllocate(CLUSTER_BYTES)));
  });
  yield* world.sleep(1.5 * PAUSE_NS);
  yield* bdrvSetBackingHd(top, base);
  // No join and no close: the read may never come back, and to take the graph apart would lower what was left behind.
  yield* world.sleep(6 * PAUSE_NS);
  yield* world.stopIothreads();
}

/** After `delayNs`, drain `bs` for as long as its hook takes, and two pauses more, in its home thread. */
function* drainFor(bs: BlockDriverState, delayNs: number): Co<void> {
  yield* qemuCoSleepNs(delayNs);
  yield* coRunOutside(bs.aioContext, () => bdrvDrainedBegin(bs, JOB));
  yield* qemuCoSleepNs(2 * PAUSE_NS);
  yield* coRunOutside(bs.aioContext, () => bdrvDrainedEnd(bs, JOB));
}
