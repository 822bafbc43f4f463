// What the edges "start" and "end of a thread" of the sanctioned order are for.
//
//      drive --> top --backing--> base          first in io0, then in io1
//
//   main                                       io0                       io1
//                                                a request
//   in a section: set_backing_hd(top, none)
//     edits children(top)
//   starts the iothread io1
//   moves the drive there                                                  plug, unplug:
//   joins both                                                             read children(top), uncounted
//   edits parents(top)
//
// Nothing that runs in a thread comes before its start or after its end: what is done before and after needs no drain. (The
// request in io0 is there because an edit of what no thread has seen yet would need no promise at all.)

import { blkCoPreadv, blkIoPlug, blkIoUnplug, blkSetAioContext } from "#core/backend";
import { bdrvSetBackingHd } from "#core/graph";
import { qiovOf } from "#core/io";
import { aioBhScheduleOneshot, type Co, hostAllocate, type Polls } from "#core/sched";
import type { Scenario } from "../scenario.ts";
import type { World } from "../world.ts";
import { CLUSTER_BYTES, closeChain, openChain, PAUSE_NS } from "./hole-chain.ts";

const orderThread: Scenario = {
  name: "order-thread",
  title: "An iothread reads the graph uncounted, between its start and its end.",
  expected: [{ finds: [], restsOn: ["context-start", "context-join"] }],
  main,
};

export default orderThread;

function* main(world: World): Polls<void> {
  const chain = yield* openChain(world, { allowAioContextChange: true });
  const { drive, top } = chain;
  world.guest(chain.ctx, function* (): Co<void> {
    yield* blkCoPreadv(drive, 0, CLUSTER_BYTES, qiovOf(hostAllocate(CLUSTER_BYTES)));
  });
  yield* world.joinGuests();
  yield* bdrvSetBackingHd(top, null);
  const second = world.iothread("io1");
  yield* blkSetAioContext(drive, second);
  aioBhScheduleOneshot(second, () => {
    blkIoPlug(drive);
    blkIoUnplug(drive);
    return undefined;
  });
  yield* world.sleep(PAUSE_NS);
  yield* closeChain(world, chain);
}
