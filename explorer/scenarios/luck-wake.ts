// Covered by luck, through a coroutine that was scheduled in another thread.
//
//   main                          io0 (has the drive)                   io1
//   makes coroutines A and B
//   takes the lock of io1
//   schedules coroutine A in io1                                        its bottom half begins: waits for the lock
//                                 plug, unplug: read children(top)
//                                 schedules coroutine B in io1
//   lets go of the lock                                                 runs A
//                                                                       runs B: it tells main
//   drained_begin(top)
//     set_backing_hd(top, none)
//     edits children(top)
//   drained_end(top)
//
// aio_co_schedule puts a coroutine into a list and schedules the bottom half that empties it. Here that bottom half was under
// way already, before io0 scheduled it once more: what brings B over is the list alone.

import {
  aioBhScheduleOneshot,
  aioContextAcquire,
  aioContextRelease,
  aioCoSchedule,
  type Co,
  machine,
  type Polls,
  qemuCoroutineCreate,
} from "#core/sched";
import type { Scenario } from "../scenario.ts";
import type { World } from "../world.ts";
import { PAUSE_NS } from "./hole-chain.ts";
import { luckyPlug, plugThenEdit } from "./luck-plug.ts";

const luckWake: Scenario = {
  name: "luck-wake",
  title:
    "Plug comes before an edit only because its thread schedules the coroutine that tells main.",
  expected: [{ lock: "aio", finds: luckyPlug(), restsOn: ["wake"] }],
  main,
};

export default luckWake;

function* main(world: World): Polls<void> {
  const relay = world.iothread("io1");
  yield* plugThenEdit(world, function* ({ ctx }, plug, tell): Polls<void> {
    const first = qemuCoroutineCreate(function* (): Co<void> {});
    const second = qemuCoroutineCreate(function* (): Co<void> {
      aioBhScheduleOneshot(machine.mainContext, tell);
    });
    yield* aioContextAcquire(relay);
    aioCoSchedule(relay, first);
    yield* world.sleep(PAUSE_NS);
    aioBhScheduleOneshot(ctx, () => {
      plug();
      aioCoSchedule(relay, second);
      return undefined;
    });
    yield* world.sleep(PAUSE_NS);
    aioContextRelease(relay);
  });
}
