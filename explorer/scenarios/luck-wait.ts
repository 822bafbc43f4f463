// Covered by luck, through a kick.
//
//   main                                       io0                              io1
//   waits to be told                                                            a long bottom half
//     a timer: stops io1, and joins it
//                                                plug, unplug: read
//                                                children(top), uncounted
//                                                tells main, kicks
//     the timer's handler is over                                               ends
//   has been told
//   drained_begin(top)
//     set_backing_hd(top, none)
//     edits children(top)
//   drained_end(top)
//
// A kick schedules a bottom half in main; but main, which was blocked inside a handler, looks at what it waits for before it
// comes to run that bottom half. What orders the two is that it looks after it was kicked.

import type { VirtualNs } from "#core/base";
import {
  type AioContext,
  aioBhScheduleOneshot,
  aioPoll,
  aioWaitKick,
  clockNs,
  type Handler,
  iothreadCreate,
  iothreadStopJoin,
  machine,
  type Polls,
  timerMod,
  timerNew,
} from "#core/sched";
import type { Scenario } from "../scenario.ts";
import type { World } from "../world.ts";
import { PAUSE_NS } from "./hole-chain.ts";
import { luckyPlug, plugThenEdit } from "./luck-plug.ts";

const luckWait: Scenario = {
  name: "luck-wait",
  title: "Plug comes before an edit only because main was kicked, and looked.",
  expected: [{ finds: luckyPlug(), restsOn: ["wait"] }],
  main,
};

export default luckWait;

function* main(world: World): Polls<void> {
  const helper = iothreadCreate("io1");
  yield* plugThenEdit(world, function* ({ ctx }, plug, tell): Polls<void> {
    let isTold = false;
    at(PAUSE_NS, machine.mainContext, () => iothreadStopJoin(helper));
    at(2 * PAUSE_NS, ctx, () => {
      plug();
      isTold = true;
      aioWaitKick();
      return undefined;
    });
    aioBhScheduleOneshot(helper, () => stayIn(helper, 3 * PAUSE_NS));
    yield* world.until(() => isTold);
    tell();
  });
}

/** Let `handler` run in `ctx` in `ns` nanoseconds. */
function at(ns: number, ctx: AioContext, handler: Handler): void {
  timerMod(timerNew(ctx, handler), (clockNs() + ns) as VirtualNs);
}

/** Stay in a handler of `ctx` for `ns` nanoseconds. Polls. */
function* stayIn(ctx: AioContext, ns: number): Polls<void> {
  let isOver = false;
  at(ns, ctx, () => {
    isOver = true;
    return undefined;
  });
  while (!isOver) yield* aioPoll(ctx, true);
}
