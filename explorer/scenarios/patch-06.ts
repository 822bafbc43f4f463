// What patch 6 is for: a completion callback runs while its request still counts, and must not change the graph.
//
//      blk                a read at blk; its callback wants to take the backing file away:
//       |                   patch 6 off: at once, as test_detach_by_parent_cb did. The drain that patch 10 puts around
//      top                    the edit waits for blk's request, which ends when the callback has returned: deadlock
//       |  backing          patch 6 on: from a bottom half, which runs when the request has been counted off
//      base
//
// The patch removes a test, hence this scenario does what tests did before and after. (With the patch on core/ refuses such a
// callback with an assertion: a case of tests/qemu shows that, and another one the world before the series, where nothing waits.)

import { blkAioPreadv, blkInsertBs, blkNew, blkUnref } from "#core/backend";
import { overlayOpen } from "#core/drivers";
import { bdrvRef, bdrvSetBackingHd, bdrvUnref } from "#core/graph";
import { qiovOf } from "#core/io";
import {
  aioBhScheduleOneshot,
  aioWaitKick,
  hostAllocate,
  machine,
  type Polls,
  patchOn,
} from "#core/sched";
import type { Scenario } from "../scenario.ts";
import type { World } from "../world.ts";
import { NODE_BYTES } from "./hole-chain.ts";

const REQUEST_BYTES = 512;

const patch06: Scenario = {
  name: "patch-06",
  title: "The callback of a request changes the graph (patch 6).",
  expected: [
    { finds: [] },
    {
      without: [6],
      outcome: "deadlock",
      finds: [{ rule: "edit-in-io-completion" }, { rule: "deadlock" }],
    },
  ],
  main,
};

export default patch06;

function* main(world: World): Polls<void> {
  const base = yield* overlayOpen({ nodeName: "base", size: NODE_BYTES });
  bdrvRef(base);
  const top = yield* overlayOpen({ nodeName: "top", size: NODE_BYTES, backing: base });
  const blk = blkNew(machine.mainContext, { name: "blk" });
  yield* blkInsertBs(blk, top);

  let isDone = false;
  function* edit(): Polls<void> {
    yield* bdrvSetBackingHd(top, null);
    isDone = true;
    aioWaitKick();
  }
  blkAioPreadv(blk, 0, REQUEST_BYTES, qiovOf(hostAllocate(REQUEST_BYTES)), () => {
    if (!patchOn(6)) return edit();
    aioBhScheduleOneshot(machine.mainContext, edit);
    return undefined;
  });
  yield* world.until(() => isDone);

  yield* blkUnref(blk);
  yield* bdrvUnref(top);
  yield* bdrvUnref(base);
}
