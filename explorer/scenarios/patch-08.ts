// The window that patch 8 closes: blockdev-reopen attaches a node that the caller's drain does not reach.
//
//      drive                 qmp_blockdev_reopen(top, { backing: "new" }): subtree_drained_begin(top), which reaches old
//        |                     patch 8: subtree_drained_begin(new), when it is found by its node-name
//       top                    the edge top -> old goes
//      /   \                   the edge top -> new comes: with patch 4 off, new's `parents` are edited first, and only then
//    old   new                 does `attach` apply the subtree drain of top to new
//
// With patches 4, 8 and 11 off the analyzer finds an edit outside a drain; with patch 11 on, its assertion stops the run there.
// With patch 8 on, new is drained whatever the order.

import { qmpBlockdevReopen } from "#core/graph";
import type { Polls } from "#core/sched";
import type { Scenario } from "../scenario.ts";
import type { World } from "../world.ts";
import { closeForkedChain, forkedChain, guestWhile } from "./forked-chain.ts";

const patch08: Scenario = {
  name: "patch-08",
  title: "A reopen attaches a backing file that nobody has drained (patch 8).",
  expected: [
    { finds: [] },
    { without: [4], finds: [] },
    {
      without: [4, 8, 11],
      finds: [
        {
          rule: "edit-outside-drain",
          list: "parents",
          node: "new",
          editor: "bdrv_replace_child_noperm",
          operation: "bdrv_reopen_multiple",
        },
      ],
    },
    { without: [4, 8], outcome: "assertion", finds: [{ rule: "modelled-assertion" }] },
  ],
  main,
};

export default patch08;

function* main(world: World): Polls<void> {
  const chain = yield* forkedChain(world);
  const options = { driver: "overlay", "node-name": "top", backing: "new" };
  yield* guestWhile(world, chain, () => qmpBlockdevReopen([options]));
  yield* closeForkedChain(world, chain);
}
