// The window that patch 4 closes: a transaction is rolled back, and the node that gets its old edge again is not drained yet.
//
//      drive                 bdrv_set_backing_hd(top, new), as in the scenario set-backing; then an action fails:
//        |                   bdrv_attach_child_common_abort: the edge top -> new goes
//       top                  bdrv_replace_child_abort: the edge top -> old comes back
//      /   \                   patch 4 off: old's `parents` are edited first,
//    old   new                 and only then does `attach` apply the subtree drain of top to old
//
// With patches 4 and 11 off the analyzer finds an edit outside a drain in the rollback. With patch 11 on, its assertion
// stops the run there.

import { assert, EPERM } from "#core/base";
import { BlockError, bdrvSetBackingHd, settle } from "#core/graph";
import type { Polls } from "#core/sched";
import type { Scenario } from "../scenario.ts";
import type { World } from "../world.ts";
import { closeForkedChain, forkedChain, guestWhile } from "./forked-chain.ts";

const setBackingAbort: Scenario = {
  name: "set-backing-abort",
  title:
    "Exchanging a backing file fails after the old edge was removed, and is rolled back (patch 4).",
  expected: [
    { finds: [] },
    {
      without: [4, 11],
      finds: [
        {
          rule: "edit-outside-drain",
          list: "parents",
          node: "old",
          editor: "bdrv_replace_child_noperm",
          operation: "bdrv_replace_child_abort",
        },
      ],
    },
    { without: [4], outcome: "assertion", finds: [{ rule: "modelled-assertion" }] },
  ],
  main,
};

export default setBackingAbort;

function* main(world: World): Polls<void> {
  const chain = yield* forkedChain(world);
  yield* guestWhile(world, chain, function* (): Polls<void> {
    const outcome = yield* settle(() =>
      bdrvSetBackingHd(chain.top, chain.fresh, () => {
        throw new BlockError(EPERM, "A permission was refused");
      }),
    );
    assert(!outcome.ok, "the exchange is refused");
  });
  assert(chain.top.rawBacking?.rawBs === chain.old, "everything is as it was");
  yield* closeForkedChain(world, chain);
}
