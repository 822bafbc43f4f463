// A drain done wrongly on purpose: begun, but not waited for.
//
//   main                                     io0
//   drained_begin_no_poll(second)            a read is under way in pair: it has walked `children`
//     raises second, pair and drive
//   unref_child(pair, second)
//     edits children(pair), parents(second)
//   drained_end(second)                      the read ends
//
// Patch 11 is on and does not object: its assertion asks whether the counter is raised, not whether anybody has waited
// (reference, section 3.2). The analyzer says both what is missing and what it leads to.

import { bdrvDrainedBeginNoPoll, bdrvDrainedEnd } from "#core/io";
import { site } from "#core/probe";
import type { Polls } from "#core/sched";
import type { Scenario } from "../scenario.ts";
import type { World } from "../world.ts";
import { READERS, unrefSecond, withMirroredPair } from "./mirrored-pair.ts";

const SECTION = site("drain_not_waited");

const drainNotWaited: Scenario = {
  name: "drain-not-waited",
  title: "A child is removed in a drained section that was begun but not waited for.",
  expected: [
    { finds: [] },
    {
      without: [10],
      finds: [
        ...READERS.map((reader) => ({
          rule: "race" as const,
          list: "children" as const,
          node: "pair",
          reader,
          editor: "bdrv_child_cb_detach",
          operation: "bdrv_root_unref_child",
        })),
        { rule: "race", list: "edge_bs", editor: "bdrv_replace_child_noperm" },
        { rule: "edit-before-poll-end", list: "children", node: "pair" },
        { rule: "edit-before-poll-end", list: "parents", node: "second" },
      ],
    },
  ],
  main,
};

export default drainNotWaited;

function* main(world: World): Polls<void> {
  yield* withMirroredPair(world, function* (made): Polls<void> {
    bdrvDrainedBeginNoPoll(made.second, SECTION);
    yield* unrefSecond(made);
    yield* bdrvDrainedEnd(made.second, SECTION);
  });
}
