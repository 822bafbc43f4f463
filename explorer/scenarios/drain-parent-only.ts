// A drain done wrongly on purpose, as far as the series' rule goes: the parent only.
//
//   main                                     io0
//   drained_begin(pair)                      the reads that are under way end, new ones wait
//   unref_child(pair, second)
//     edits children(pair)                   in the section
//     edits parents(second)                  outside any section of second
//   drained_end(pair)
//
// Drains spread upwards: while `pair` is drained, nobody sends requests to `second` either, hence no race. But nothing says so
// about `second` itself, and another parent of it would make it one.

import { bdrvDrainedBegin, bdrvDrainedEnd } from "#core/io";
import { site } from "#core/probe";
import type { Polls } from "#core/sched";
import type { Scenario } from "../scenario.ts";
import type { World } from "../world.ts";
import { unrefSecond, withMirroredPair } from "./mirrored-pair.ts";

const SECTION = site("drain_parent_only");

const drainParentOnly: Scenario = {
  name: "drain-parent-only",
  title: "A child is removed while its parent is drained, but not the child itself.",
  expected: [
    { finds: [] },
    {
      without: [10, 11],
      finds: [
        {
          rule: "edit-outside-drain",
          list: "parents",
          node: "second",
          editor: "bdrv_replace_child_noperm",
          operation: "bdrv_root_unref_child",
        },
      ],
    },
  ],
  main,
};

export default drainParentOnly;

function* main(world: World): Polls<void> {
  yield* withMirroredPair(world, function* (made): Polls<void> {
    yield* bdrvDrainedBegin(made.pair, SECTION);
    yield* unrefSecond(made);
    yield* bdrvDrainedEnd(made.pair, SECTION);
  });
}
