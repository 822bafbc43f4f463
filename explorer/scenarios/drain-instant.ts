// A drain done wrongly on purpose: an instant, not a section.
//
//   main                                     io0
//   drained_begin(pair)                      the reads that are under way end, new ones wait
//   drained_end(pair)                        those that wait go on
//   unref_child(pair, second)
//     edits children(pair), parents(second)  a read walks `children`
//
// What ran before the drain is ordered before the edit, and yet covered by nothing: the section had ended. What runs after it is
// not ordered at all.

import { bdrvDrain } from "#core/io";
import { site } from "#core/probe";
import type { Polls } from "#core/sched";
import type { Scenario } from "../scenario.ts";
import type { World } from "../world.ts";
import { READERS, unrefSecond, withMirroredPair } from "./mirrored-pair.ts";

const SECTION = site("drain_instant");

const drainInstant: Scenario = {
  name: "drain-instant",
  title: "A child is removed after a drain that has ended already.",
  expected: [
    { finds: [] },
    {
      without: [10, 11],
      finds: [
        ...READERS.map((reader) => ({
          rule: "race" as const,
          list: "children" as const,
          node: "pair",
          reader,
          editor: "bdrv_child_cb_detach",
          operation: "bdrv_root_unref_child",
        })),
        { rule: "edit-outside-drain", list: "children", node: "pair" },
        { rule: "edit-outside-drain", list: "parents", node: "second" },
      ],
    },
  ],
  main,
};

export default drainInstant;

function* main(world: World): Polls<void> {
  yield* withMirroredPair(world, function* (made): Polls<void> {
    yield* bdrvDrain(made.pair, SECTION);
    yield* unrefSecond(made);
  });
}
