// Covered by luck, through a coroutine that changes its thread.
//
//   main                                       io0
//                                                a coroutine: plug, unplug: read children(top), uncounted
//                                                yields
//   (some time later) enters it: it ends here
//   drained_begin(top)
//     set_backing_hd(top, none)
//     edits children(top)
//   drained_end(top)

import {
  aioCoEnter,
  type Co,
  machine,
  type Polls,
  qemuCoroutineCreate,
  qemuCoroutineYield,
} from "#core/sched";
import type { Scenario } from "../scenario.ts";
import type { World } from "../world.ts";
import { PAUSE_NS } from "./hole-chain.ts";
import { luckyPlug, plugThenEdit } from "./luck-plug.ts";

const luckCoroutine: Scenario = {
  name: "luck-coroutine",
  title: "Plug comes before an edit only because its coroutine goes on in main.",
  expected: [{ finds: luckyPlug(), restsOn: ["coroutine"] }],
  main,
};

export default luckCoroutine;

function* main(world: World): Polls<void> {
  yield* plugThenEdit(world, function* ({ ctx }, plug, tell): Polls<void> {
    const co = qemuCoroutineCreate(function* (): Co<void> {
      plug();
      yield* qemuCoroutineYield();
      tell();
    });
    aioCoEnter(ctx, co);
    yield* world.sleep(PAUSE_NS);
    aioCoEnter(machine.mainContext, co);
  });
}
