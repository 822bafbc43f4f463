// What patch 12 is for: code that belongs to the main thread says so, and stops whoever calls it elsewhere.
//
//   main                      io0
//   waits                     a bottom half calls bdrv_find_node, which is global-state code:
//                                 patch 12 on: QEMU's assertion, qemu_in_main_thread()
//                                 patch 12 off: it goes on, over a list that main may be editing
//
// The mistake is the scenario's. With the patch the run stops at it; without, the call comes back as if nothing were wrong, and
// the analyzer alone says that it ran in the wrong thread.

import { overlayOpen } from "#core/drivers";
import { bdrvFindNode, bdrvUnref } from "#core/graph";
import { aioBhScheduleOneshot, type Polls } from "#core/sched";
import type { Scenario } from "../scenario.ts";
import type { World } from "../world.ts";
import { NODE_BYTES, PAUSE_NS } from "./hole-chain.ts";

const patch12: Scenario = {
  name: "patch-12",
  title: "An iothread calls code that belongs to the main thread (patch 12).",
  expected: [
    { outcome: "assertion", finds: [{ rule: "wrong-thread" }, { rule: "modelled-assertion" }] },
    { without: [12], finds: [{ rule: "wrong-thread" }] },
  ],
  main,
};

export default patch12;

function* main(world: World): Polls<void> {
  const ctx = world.iothread("io0");
  const bs = yield* overlayOpen({ nodeName: "top", size: NODE_BYTES });
  aioBhScheduleOneshot(ctx, () => {
    world.note(`found ${bdrvFindNode("top")?.nodeName}`);
    return undefined;
  });
  yield* world.sleep(PAUSE_NS);
  yield* bdrvUnref(bs);
  yield* world.stopIothreads();
}
