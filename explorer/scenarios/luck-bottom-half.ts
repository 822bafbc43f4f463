// Covered by luck, through a bottom half.
//
//   main                                       io0
//                                                plug, unplug: read children(top), uncounted
//                                                schedules a bottom half in main
//   the bottom half runs
//   drained_begin(top)
//     set_backing_hd(top, none)
//     edits children(top)
//   drained_end(top)
//
// The edit waits for the message by the program's own logic; the drain, which is what the protocol has for it, does not.

import { aioBhScheduleOneshot, machine, type Polls } from "#core/sched";
import type { Scenario } from "../scenario.ts";
import type { World } from "../world.ts";
import { luckyPlug, plugThenEdit } from "./luck-plug.ts";

const luckBottomHalf: Scenario = {
  name: "luck-bottom-half",
  title: "Plug comes before an edit only because a bottom half tells main to edit.",
  expected: [{ finds: luckyPlug(), restsOn: ["bh"] }],
  main,
};

export default luckBottomHalf;

function* main(world: World): Polls<void> {
  yield* plugThenEdit(world, ({ ctx }, plug, tell) => {
    aioBhScheduleOneshot(ctx, () => {
      plug();
      aioBhScheduleOneshot(machine.mainContext, tell);
      return undefined;
    });
  });
}
