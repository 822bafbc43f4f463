// Covered by luck, through a timer.
//
//   main                                       io0
//                                                plug, unplug: read children(top), uncounted
//                                                arms a timer of main
//   the timer runs
//   drained_begin(top)
//     set_backing_hd(top, none)
//     edits children(top)
//   drained_end(top)

import type { VirtualNs } from "#core/base";
import {
  aioBhScheduleOneshot,
  clockNs,
  machine,
  type Polls,
  timerMod,
  timerNew,
} from "#core/sched";
import type { Scenario } from "../scenario.ts";
import type { World } from "../world.ts";
import { luckyPlug, plugThenEdit } from "./luck-plug.ts";

const DELAY_NS = 100_000;

const luckTimer: Scenario = {
  name: "luck-timer",
  title: "Plug comes before an edit only because a timer tells main to edit.",
  expected: [{ finds: luckyPlug(), restsOn: ["timer"] }],
  main,
};

export default luckTimer;

function* main(world: World): Polls<void> {
  yield* plugThenEdit(world, ({ ctx }, plug, tell) => {
    const timer = timerNew(machine.mainContext, tell);
    aioBhScheduleOneshot(ctx, () => {
      plug();
      timerMod(timer, (clockNs() + DELAY_NS) as VirtualNs);
      return undefined;
    });
  });
}
