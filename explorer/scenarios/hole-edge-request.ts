// Known hole: a request at an edge, with no counter around it.
//
//      drive --> top --backing--> base
//
//   main                                       io0, a coroutine that holds the edge to top
//   drained_begin(top): nothing in flight
//   set_backing_hd(top, none)
//     edits children(top), backing(top)
//     .                                        preadv(edge): reads children(top), uncounted
//     .  (stays in the section)                raises in_flight(top), reads backing(top), lowers it
//   drained_end(top)
//
// Where: bdrv_co_preadv_part (io.c:1773) asks bdrv_is_inserted before it raises the node's in-flight counter (io.c:1807);
// bdrv_co_pwritev_part and bdrv_co_pdiscard do likewise, and bdrv_co_flush looks for the primary child first. Why no drain
// covers it: that order is safe only inside a request that is counted further up, at the BlockBackend or at the parent node.
// Code that holds an edge and uses it from a coroutine of its own (block-copy, the background work of a driver) has no such
// request, and no gate either.

import { blkRoot } from "#core/backend";
import { must } from "#core/base";
import type { BdrvChild } from "#core/graph";
import { bdrvCoPreadv, qiovOf } from "#core/io";
import { site } from "#core/probe";
import { type Co, hostAllocate, type Polls, qemuCoSleepNs } from "#core/sched";
import type { Scenario } from "../scenario.ts";
import type { World } from "../world.ts";
import {
  CLUSTER_BYTES,
  closeChain,
  dropBackingAndStay,
  openChain,
  PAUSE_NS,
  raceWithDrop,
} from "./hole-chain.ts";

const EDGE = site("hole_edge_request");

const holeEdgeRequest: Scenario = {
  name: "hole-edge-request",
  title:
    "A coroutine reads through an edge, with no counter around it, while main edits the graph.",
  expected: [
    {
      finds: [
        raceWithDrop("children", "bdrv_is_inserted"),
        raceWithDrop("backing", "overlay_co_preadv"),
        { rule: "request-in-drained-section", node: "top" },
      ],
    },
  ],
  main,
};

export default holeEdgeRequest;

function* main(world: World): Polls<void> {
  const chain = yield* openChain(world);
  const edge = must(blkRoot(chain.drive, EDGE), "the drive has its node");
  world.guest(chain.ctx, () => reader(edge));
  yield* dropBackingAndStay(world, chain);
  yield* closeChain(world, chain);
}

function* reader(edge: BdrvChild): Co<void> {
  yield* qemuCoSleepNs(PAUSE_NS / 2);
  yield* bdrvCoPreadv(edge, 0, CLUSTER_BYTES, qiovOf(hostAllocate(CLUSTER_BYTES)));
}
