// A pointer that outlives what it points to: the shape of QEMU's most frequent crash in the block layer (a flush came back to
// an edge that drive_del had freed).
//
//   main                                       a coroutine, in main too
//                                                edge = top->backing; sleeps, holding nothing
//   set_backing_hd(top, none)
//     drains, removes the edge, frees it
//                                                reads edge->bs
//
// All of it happens in one thread, one after the other: nothing races. The drain waits for requests, and this coroutine is none.

import { overlayOpen } from "#core/drivers";
import { backingOf, bdrvRef, bdrvSetBackingHd, bdrvUnref, edgeBs } from "#core/graph";
import { site } from "#core/probe";
import { type Co, machine, type Polls, qemuCoSleepNs } from "#core/sched";
import type { Scenario } from "../scenario.ts";
import type { World } from "../world.ts";
import { NODE_BYTES, PAUSE_NS } from "./hole-chain.ts";

const SITE_FETCH = site("wrong_pointer/fetch");
const SITE_USE = site("wrong_pointer/use");

const wrongPointer: Scenario = {
  name: "wrong-pointer",
  title: "A coroutine follows an edge that was freed while it slept.",
  expected: [{ finds: [{ rule: "use-after-free", list: "edge_bs" }] }],
  main,
};

export default wrongPointer;

function* main(world: World): Polls<void> {
  const base = yield* overlayOpen({ nodeName: "base", size: NODE_BYTES });
  bdrvRef(base);
  const top = yield* overlayOpen({ nodeName: "top", size: NODE_BYTES, backing: base });
  world.guest(machine.mainContext, function* (): Co<void> {
    const edge = backingOf(top, SITE_FETCH);
    yield* qemuCoSleepNs(PAUSE_NS);
    if (edge !== null) edgeBs(edge, SITE_USE);
  });
  yield* bdrvSetBackingHd(top, null);
  yield* world.joinGuests();
  yield* bdrvUnref(top);
  yield* bdrvUnref(base);
}
