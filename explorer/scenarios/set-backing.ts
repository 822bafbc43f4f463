// The window that patch 3 closes: the old backing file loses its drain before its `parents` are edited.
//
//      drive                 drained_begin(top), subtree_drained_begin(top), subtree_drained_begin(new)
//        |                   bdrv_set_backing_hd(top, new)
//       top                    detach the edge top -> old:
//      /   \                     bdrv_unapply_subtree_drain: old is not drained any more
//    old   new                   patch 3 off: old's `parents` are edited only now
//
// With patches 3 and 11 off the run ends well, and the analyzer finds an edit outside a drain: the section is the operation's
// own, but it has just let go of the node. With patch 11 on, its assertion stops the run at the edit. The
// guest's requests go through `top`, which stays drained: nothing can overlap the edit, hence no race.

import { bdrvSetBackingHd } from "#core/graph";
import type { Polls } from "#core/sched";
import type { Scenario } from "../scenario.ts";
import type { World } from "../world.ts";
import { closeForkedChain, forkedChain, guestWhile } from "./forked-chain.ts";

const setBacking: Scenario = {
  name: "set-backing",
  title: "A backing file is exchanged while a guest works (patch 3).",
  expected: [
    { finds: [] },
    {
      without: [3, 11],
      finds: [
        {
          rule: "edit-outside-drain",
          list: "parents",
          node: "old",
          editor: "bdrv_replace_child_noperm",
          operation: "bdrv_set_backing_hd",
        },
      ],
    },
    { without: [3], outcome: "assertion", finds: [{ rule: "modelled-assertion" }] },
  ],
  main,
};

export default setBacking;

function* main(world: World): Polls<void> {
  const chain = yield* forkedChain(world);
  yield* guestWhile(world, chain, () => bdrvSetBackingHd(chain.top, chain.fresh));
  yield* closeForkedChain(world, chain);
}
