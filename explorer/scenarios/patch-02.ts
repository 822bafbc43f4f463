// What patch 2 is for: a coroutine that gives a drained node a new parent has to quiesce that parent.
//
//      top                main:  drained_begin(new)
//        |  backing       a coroutine tells the parent of the edge top -> old what new's drain asks for, as
//      old    new         bdrv_replace_child_noperm would when it moves the edge to new:
//                           patch 2 off: bdrv_child_cb_drained_begin quiesces top from the coroutine,
//                                        where bdrv_do_drained_begin_quiesce asserts !qemu_in_coroutine()
//                           patch 2 on:  bdrv_drained_begin_no_poll hands that to a bottom half
//
// Off, the run ends at QEMU's assertion; on, top is quiesced once, and let go again.

import { assert } from "#core/base";
import { overlayOpen } from "#core/drivers";
import { bdrvRef, bdrvUnref } from "#core/graph";
import {
  bdrvCoParentDrainedBeginSingle,
  bdrvDrainedBegin,
  bdrvDrainedEnd,
  bdrvParentDrainedEndSingle,
} from "#core/io";
import { site } from "#core/probe";
import { type Co, machine, type Polls } from "#core/sched";
import type { Scenario } from "../scenario.ts";
import type { World } from "../world.ts";
import { NODE_BYTES } from "./hole-chain.ts";

const SECTION = site("patch_02_section");

const patch02: Scenario = {
  name: "patch-02",
  title: "A coroutine quiesces the parent of an edge (patch 2).",
  expected: [
    { finds: [] },
    { without: [2], outcome: "assertion", finds: [{ rule: "modelled-assertion" }] },
  ],
  main,
};

export default patch02;

function* main(world: World): Polls<void> {
  const old = yield* overlayOpen({ nodeName: "old", size: NODE_BYTES });
  const fresh = yield* overlayOpen({ nodeName: "new", size: NODE_BYTES });
  bdrvRef(old);
  const top = yield* overlayOpen({ nodeName: "top", size: NODE_BYTES, backing: old });
  const edge = top.rawBacking;
  assert(edge !== null, "the overlay has a backing file");

  yield* bdrvDrainedBegin(fresh, SECTION);
  const section = fresh.quiescedFor[0];
  assert(section !== undefined, "the drained node has a level");
  world.guest(machine.mainContext, function* (): Co<void> {
    yield* bdrvCoParentDrainedBeginSingle(edge, section);
  });
  yield* world.joinGuests();
  assert(top.quiesceCounter === 1, "the parent is quiesced");
  yield* bdrvParentDrainedEndSingle(edge);
  yield* bdrvDrainedEnd(fresh, SECTION);

  yield* bdrvUnref(top);
  yield* bdrvUnref(old);
  yield* bdrvUnref(fresh);
}
