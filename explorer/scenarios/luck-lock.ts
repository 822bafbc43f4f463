// Covered by luck, through a lock (`--lock aio`): main takes the lock of the iothread, lets it go, and edits only later.
//
//   main                                       io0
//                                                the dispatcher holds the lock of io0
//                                                  plug, unplug: read children(top), uncounted
//   takes the lock of io0, lets it go
//   drained_begin(top)
//     set_backing_hd(top, none)
//     edits children(top)
//   drained_end(top)
//
// What orders the two is that main took the lock after io0 had it. Had main been quicker, nothing would: the edit is outside of the
// lock. `quiesce races --predict osr` says so, and executes the schedule that shows it: the two sections change places.

import { blkIoPlug, blkIoUnplug } from "#core/backend";
import {
  aioBhScheduleOneshot,
  aioContextAcquire,
  aioContextRelease,
  type Polls,
} from "#core/sched";
import type { ExpectedFinding, Scenario } from "../scenario.ts";
import type { World } from "../world.ts";
import { closeChain, dropBackingAndStay, openChain, PAUSE_NS } from "./hole-chain.ts";
import { luckyPlug } from "./luck-plug.ts";

const luckLock: Scenario = {
  name: "luck-lock",
  title: "Plug comes before an edit only because main had the lock in between, and let it go.",
  expected: [
    { finds: luckyPlug().map((lucky): ExpectedFinding => ({ ...lucky, rule: "race" })) },
    { lock: "aio", finds: luckyPlug(), restsOn: ["lock"] },
  ],
  main,
};

export default luckLock;

function* main(world: World): Polls<void> {
  const chain = yield* openChain(world);
  const { ctx, drive } = chain;
  aioBhScheduleOneshot(ctx, () => {
    blkIoPlug(drive);
    blkIoUnplug(drive);
    return undefined;
  });
  // Main and the iothread meet by time alone.
  yield* world.sleep(PAUSE_NS);
  yield* aioContextAcquire(ctx);
  aioContextRelease(ctx);
  yield* world.sleep(PAUSE_NS);
  yield* dropBackingAndStay(world, chain);
  yield* closeChain(world, chain);
}
