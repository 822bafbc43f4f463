// Known hole: with patch 4, a node above a diamond cannot be attached: the drain's arithmetic is wrong.
//
//       top            main only: attach_child(top, r) makes the edge y              levels of: r   y
//        .
//        . y           T: subtree_drained_begin(top)                                            0   -
//        v             R: subtree_drained_begin(r): r itself, then back up to r
//     +--r--+             from l, and from x                                                    3   -
//     |     |          y catches up with r                                                      3   3
//     v     |          attach: T comes down to r, and back up to r from l, and from x           6   3
//     l     |          links y into parents(r)
//     |     |          R: subtree_drained_end(r): r, and back up to r twice; tells y each time  3   0
//     v     |          T: subtree_drained_end(top): comes down to r (leaving y out), and back
//     x<----+             up to r, which tells y                                                2  -1
//
// Where: bdrv_replace_child_noperm (block.c:2829) with patch 4, and bdrv_apply_subtree_drain (io.c:574). A walk leaves out the
// edge through which it came down, but not when it comes back up to the same node from below (io.c:53). With patch 4 that edge
// is not in parents(r) at the time: y misses levels that it is told to lower later. Why no drain covers it: nothing overlaps,
// no thread but main's is at work. QEMU would stop at its assertion `c->parent_quiesce_counter > 0`. With the order of 7.2
// (patch 4 off) y is told both times.

import { overlayOpen, quorumOpen, rawOpen } from "#core/drivers";
import { BDRV_CHILD_DATA, bdrvAttachChild, bdrvRef } from "#core/graph";
import type { Polls } from "#core/sched";
import type { Scenario } from "../scenario.ts";
import { NODE_BYTES } from "./hole-chain.ts";

const holeDiamond: Scenario = {
  name: "hole-diamond",
  title: "To attach a node above a diamond unbalances its counters.",
  expected: [
    { outcome: "assertion", finds: [{ rule: "modelled-assertion" }] },
    { without: [4], finds: [] },
  ],
  main,
};

export default holeDiamond;

function* main(): Polls<void> {
  const x = yield* overlayOpen({ nodeName: "x", size: NODE_BYTES });
  bdrvRef(x);
  const l = yield* rawOpen("l", x);
  const r = yield* quorumOpen("r", [x, l]);
  const top = yield* overlayOpen({ nodeName: "top", size: NODE_BYTES });
  yield* bdrvAttachChild(top, r, "y", BDRV_CHILD_DATA);
}
