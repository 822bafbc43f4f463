// What patch 5 is for: test_detach_by_driver_cb has a callback that waits for a drain, and patch 10 brings more drains.
//
//      top                the edge top -> base has a drained_begin callback that schedules a bottom half, which takes the
//       |  the edge       edge away:
//      base                 patch 5 off: it is armed from the start. The subtree drain of bdrv_attach_child sets it off
//                             while the edge is being made, and there is nothing to take away yet
//                           patch 5 on: it is armed right before the drain that matters, and only once
//
// A patch for a test: off, the test crashes as soon as patch 10 is on; with both off it passes as it always has.

import { assert } from "#core/base";
import { overlayOpen } from "#core/drivers";
import {
  BDRV_CHILD_DATA,
  type BdrvChild,
  type BdrvChildClass,
  bdrvAttachChild,
  bdrvRef,
  bdrvUnref,
  bdrvUnrefChild,
  childOfBds,
} from "#core/graph";
import { bdrvSubtreeDrainedBegin, bdrvSubtreeDrainedEnd } from "#core/io";
import { site } from "#core/probe";
import { aioBhScheduleOneshot, machine, modelAssert, type Polls, patchOn } from "#core/sched";
import type { Scenario } from "../scenario.ts";
import type { World } from "../world.ts";
import { NODE_BYTES } from "./hole-chain.ts";

const DRAIN = site("patch_05_drain");
const BH = site("patch_05_bh");

const patch05: Scenario = {
  name: "patch-05",
  title: "A test's drain callback is set off by the drains of patch 10 (patch 5).",
  expected: [
    { finds: [] },
    { without: [5], outcome: "assertion", finds: [{ rule: "modelled-assertion" }] },
  ],
  main,
};

export default patch05;

function* main(world: World): Polls<void> {
  const top = yield* overlayOpen({ nodeName: "top", size: NODE_BYTES });
  const base = yield* overlayOpen({ nodeName: "base", size: NODE_BYTES });
  bdrvRef(base);
  let edge: BdrvChild | null = null;
  const counts = { detached: 0 };
  let isArmed = !patchOn(5);
  function* detach(): Polls<void> {
    modelAssert(edge !== null, "the callback's data is filled", BH);
    const old = edge;
    edge = null;
    yield* bdrvUnrefChild(top, old);
    counts.detached++;
  }
  const klass: BdrvChildClass = {
    ...childOfBds,
    drainedBegin: (child, section) => {
      if (isArmed) {
        if (patchOn(5)) isArmed = false;
        aioBhScheduleOneshot(machine.mainContext, detach);
      }
      return childOfBds.drainedBegin?.(child, section);
    },
  };
  edge = yield* bdrvAttachChild(top, base, "base", BDRV_CHILD_DATA, klass);
  yield* world.sleep(1);
  isArmed = true;
  yield* bdrvSubtreeDrainedBegin(base, DRAIN);
  yield* world.sleep(1);
  yield* bdrvSubtreeDrainedEnd(base, DRAIN);
  assert(counts.detached === 1, "the callback took the edge away, once");

  yield* bdrvUnref(top);
  yield* bdrvUnref(base);
}
