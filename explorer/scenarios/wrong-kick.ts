// A wake-up that is lost: the kick comes before what it is to tell.
//
//   main                                       io0
//     drained_begin(top)                         a request holds top's in-flight counter
//       the counter is 1: sleeps                 kicks
//       wakes; the counter is still 1: sleeps    the counter goes to 0
//       for ever                                 ends
//
// QEMU had it in drained_end: its counter was lowered after the wake-up, and one test in two hundred hung. Here the iothread
// lets main look in between, so that every run hangs.

import type { BlockDriverState } from "#core/graph";
import { bdrvDrainedBegin, bdrvDrainedEnd } from "#core/io";
import { Ev, site } from "#core/probe";
import {
  aioCoEnter,
  aioWaitKick,
  type Co,
  machine,
  type Polls,
  qemuCoroutineCreate,
  qemuCoSleepNs,
} from "#core/sched";
import type { Scenario } from "../scenario.ts";
import type { World } from "../world.ts";
import { openChain, PAUSE_NS } from "./hole-chain.ts";

const SECTION = site("wrong_kick_section");

const wrongKick: Scenario = {
  name: "wrong-kick",
  title: "A request kicks before it lowers the counter that a drain waits for.",
  expected: [
    {
      outcome: "deadlock",
      finds: [{ rule: "deadlock" }, { rule: "lost-wakeup" }],
    },
  ],
  main,
};

export default wrongKick;

/** bdrv_inc_in_flight and bdrv_dec_in_flight without the kick that belongs behind the latter. */
function count(bs: BlockDriverState, by: 1 | -1): void {
  bs.inFlight += by;
  const kind = by > 0 ? Ev.bs_in_flight_inc : Ev.bs_in_flight_dec;
  machine.probe.emit(kind, bs.id, bs.inFlight);
}

function* main(world: World): Polls<void> {
  const { ctx, top } = yield* openChain(world);
  // No guest of the world's: those kick when they end.
  const co = qemuCoroutineCreate(function* (): Co<void> {
    count(top, 1);
    yield* qemuCoSleepNs(2 * PAUSE_NS);
    aioWaitKick();
    yield* qemuCoSleepNs(PAUSE_NS);
    count(top, -1);
  });
  aioCoEnter(ctx, co);
  yield* world.sleep(PAUSE_NS);
  yield* bdrvDrainedBegin(top, SECTION);
  yield* bdrvDrainedEnd(top, SECTION);
}
