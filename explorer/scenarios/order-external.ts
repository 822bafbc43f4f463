// What the edge "external events" of the sanctioned order is for.
//
//   main                                       io0
//   drained_begin(top): external events off      .
//     set_backing_hd(top, none)                  the device is kicked: its handler must wait
//     edits children(top)
//   drained_end(top): external events on         the handler runs: plug, unplug read children(top), uncounted
//
// The handler holds no counter and looks at no gate; that it was kept out until the drain had ended is the only promise that
// it comes after the edit.

import { blkIoPlug, blkIoUnplug } from "#core/backend";
import { aioRemoveFdHandler, aioSetFdHandler, type Polls } from "#core/sched";
import type { Scenario } from "../scenario.ts";
import type { World } from "../world.ts";
import { closeChain, dropBackingAndStay, openChain, PAUSE_NS } from "./hole-chain.ts";

const orderExternal: Scenario = {
  name: "order-external",
  title: "An external client is kicked in a drained section, and served after it.",
  expected: [{ finds: [], restsOn: ["external"] }],
  main,
};

export default orderExternal;

function* main(world: World): Polls<void> {
  const chain = yield* openChain(world);
  const handler = aioSetFdHandler(chain.ctx, true, () => {
    blkIoPlug(chain.drive);
    blkIoUnplug(chain.drive);
    return undefined;
  });
  world.clients.kick(handler.id, PAUSE_NS / 2);
  yield* dropBackingAndStay(world, chain);
  yield* world.sleep(PAUSE_NS);
  aioRemoveFdHandler(handler);
  yield* closeChain(world, chain);
}
