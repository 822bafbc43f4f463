// Covered by luck, through a counter that main reads as zero outside any drain.
//
//      empty                   a BlockBackend in the iothread io0, without a node
//
//   main                                       io0
//                                                a request: reads root(empty), fails with ENOMEDIUM
//   blk_drain(empty): no node, hence no section
//     reads the in-flight counter as 0
//   blk_insert_bs(empty, medium)
//     sets root(empty)
//
// What was in flight has gone; but nothing keeps the next request away from the pointer while main sets it. With patch 10 the
// drain around the attachment closes the gate first, and reads the counter again: then all is well.

import { blkCoPreadv, blkDrain, blkInsertBs, blkNew, blkUnref } from "#core/backend";
import { assert, ENOMEDIUM } from "#core/base";
import { nullCoDriver, nullOpen } from "#core/drivers";
import { bdrvUnref } from "#core/graph";
import { qiovOf } from "#core/io";
import { site } from "#core/probe";
import { type Co, hostAllocate, type Polls } from "#core/sched";
import type { Scenario } from "../scenario.ts";
import type { World } from "../world.ts";
import { PAUSE_NS } from "./hole-chain.ts";

const DRAIN = site("luck_counter_drain");
const REQUEST_BYTES = 4096;

const luckCounter: Scenario = {
  name: "luck-counter",
  title: "A medium is inserted after a drain of an empty BlockBackend, which closes no gate.",
  expected: [
    { finds: [], restsOn: ["blk-counter"] },
    {
      without: [10, 11],
      finds: [
        { rule: "covered-by-luck", list: "blk_root", node: "empty", editor: "blk_insert_bs" },
        { rule: "edit-outside-drain", list: "parents", node: "medium" },
      ],
      restsOn: ["counter"],
    },
  ],
  main,
};

export default luckCounter;

function* main(world: World): Polls<void> {
  const ctx = world.iothread("io0");
  const medium = yield* nullOpen(nullCoDriver, { nodeName: "medium" });
  const empty = blkNew(ctx, { name: "empty" });
  world.guest(ctx, function* (): Co<void> {
    const ret = yield* blkCoPreadv(empty, 0, REQUEST_BYTES, qiovOf(hostAllocate(REQUEST_BYTES)));
    assert(ret === -ENOMEDIUM, "there is nothing to read");
  });
  yield* world.sleep(PAUSE_NS);
  yield* blkDrain(empty, DRAIN);
  yield* blkInsertBs(empty, medium);
  yield* world.joinGuests();
  yield* world.stopIothreads();
  yield* blkUnref(empty);
  yield* bdrvUnref(medium);
}
