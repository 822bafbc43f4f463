// Known hole: a drain that runs in an iothread walks both lists, and is itself counted nowhere.
//
//      drive --> top --backing--> base
//
//   main                                       io0, the home thread of all three
//   drained_begin(top): nothing in flight
//     .                                        subtree_drained_begin(top): reads children(top), parents(base)
//     .  (stays in the section)                  polls: reads both again
//     .                                        subtree_drained_end(top): reads both again
//   set_backing_hd(top, none)
//     edits children(top), parents(base)
//   drained_end(top)
//
// Where: bdrv_do_drained_begin, bdrv_drain_poll and bdrv_do_drained_end (io.c:439, 308, 513) with the loops over the parents
// (io.c:53, 86, 108): any of them may run in the node's home thread. Why no drain covers it: drains wait for requests, and
// drains do not exclude one another. Reviewers said so of the series in February 2022 (patch 10). Since QEMU 8.1 all drain
// callbacks run in the main thread.

import { bdrvSetBackingHd } from "#core/graph";
import {
  bdrvDrainedBegin,
  bdrvDrainedEnd,
  bdrvSubtreeDrainedBegin,
  bdrvSubtreeDrainedEnd,
} from "#core/io";
import { site } from "#core/probe";
import { type Co, coRunOutside, type Polls, qemuCoSleepNs } from "#core/sched";
import type { ExpectedFinding, Scenario } from "../scenario.ts";
import type { World } from "../world.ts";
import { type Chain, closeChain, openChain, PAUSE_NS } from "./hole-chain.ts";

const MAIN = site("hole_main_section");
const IOTHREAD = site("hole_iothread_drain");

/** Readers on the way down, through the edge that goes, and on the way up from base. */
const DOWN = ["bdrv_do_drained_begin", "bdrv_drain_poll", "bdrv_do_drained_end"];
const UP = ["bdrv_parent_drained_begin", "bdrv_parent_drained_poll", "bdrv_parent_drained_end"];

const RACE = { rule: "race", operation: "bdrv_set_backing_hd" } as const;
const CHILDREN = {
  ...RACE,
  list: "children",
  node: "top",
  editor: "bdrv_child_cb_detach",
} as const;
const EDGE = {
  ...RACE,
  list: "edge_bs",
  node: "backing",
  editor: "bdrv_replace_child_noperm",
} as const;
const PARENTS = {
  ...RACE,
  list: "parents",
  node: "base",
  editor: "bdrv_replace_child_noperm",
} as const;

const holeIothreadDrain: Scenario = {
  name: "hole-iothread-drain",
  title: "A drain in an iothread reads children and parents, uncounted, while main edits both.",
  expected: [
    {
      finds: [
        ...DOWN.map((reader): ExpectedFinding => ({ ...CHILDREN, reader })),
        ...DOWN.map((reader): ExpectedFinding => ({ ...EDGE, reader })),
        ...UP.map((reader): ExpectedFinding => ({ ...PARENTS, reader })),
      ],
    },
  ],
  main,
};

export default holeIothreadDrain;

function* main(world: World): Polls<void> {
  const chain = yield* openChain(world);
  world.guest(chain.ctx, () => drainer(chain));
  yield* bdrvDrainedBegin(chain.top, MAIN);
  yield* world.sleep(PAUSE_NS);
  yield* bdrvSetBackingHd(chain.top, null);
  yield* bdrvDrainedEnd(chain.top, MAIN);
  yield* closeChain(world, chain);
}

function* drainer({ ctx, top }: Chain): Co<void> {
  yield* qemuCoSleepNs(PAUSE_NS / 2);
  yield* coRunOutside(ctx, function* (): Polls<void> {
    yield* bdrvSubtreeDrainedBegin(top, IOTHREAD);
    yield* bdrvSubtreeDrainedEnd(top, IOTHREAD);
  });
}
