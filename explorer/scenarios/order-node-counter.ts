// What the edge "in-flight counter of a node" of the sanctioned order is for.
//
//      drive --> filter --> top --backing--> base        the filter's driver has a drain hook
//
//   main                                       io0
//   drained_begin(filter, top)
//     counts the hook in flight at filter        the hook runs: reads file(filter)
//     reads the node's counter as 0
//     drop_filter edits file(filter)
//   drained_end
//
// The hook is no request of a BlockBackend: only the node's own counter says when it is over.

import { filterDriver } from "#core/drivers";
import { type BlockDriver, bdrvDropFilter, bdrvInsertNode, bdrvUnref, fileOf } from "#core/graph";
import { site } from "#core/probe";
import type { Co, Polls } from "#core/sched";
import type { Scenario } from "../scenario.ts";
import type { World } from "../world.ts";
import { closeChain, openChain, PAUSE_NS } from "./hole-chain.ts";

const HOOK = site("order_drain_hook");

/** A filter that looks at its child when a drain begins. */
const hookedDriver: BlockDriver = {
  ...filterDriver,
  formatName: "hooked-filter",
  *coDrainBegin(bs): Co<void> {
    fileOf(bs, HOOK);
  },
};

const orderNodeCounter: Scenario = {
  name: "order-node-counter",
  title: "The drain hook of a driver reads the graph before the drain's edit.",
  expected: [{ finds: [], restsOn: ["node-counter"] }],
  main,
};

export default orderNodeCounter;

function* main(world: World): Polls<void> {
  const chain = yield* openChain(world);
  const filter = yield* bdrvInsertNode(chain.top, hookedDriver, "filter");
  yield* world.sleep(PAUSE_NS);
  yield* bdrvDropFilter(filter);
  yield* bdrvUnref(filter);
  yield* closeChain(world, chain);
}
