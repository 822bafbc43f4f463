// What the scenarios of covered-by-luck have in common: a device plugs and unplugs in an iothread, which no drain waits for, and
// then something that no protocol promises makes main edit the graph only afterwards. Not a scenario itself.

import { blkIoPlug, blkIoUnplug } from "#core/backend";
import { aioPoll, machine, type Polls } from "#core/sched";
import type { ExpectedFinding } from "../scenario.ts";
import type { World } from "../world.ts";
import { type Chain, closeChain, dropBackingAndStay, openChain } from "./hole-chain.ts";

/** What such a scenario finds: both walks, in the list and in the edge that the walk follows. */
export function luckyPlug(): ExpectedFinding[] {
  const walks = ["bdrv_io_plug", "bdrv_io_unplug"].map((reader) => ({
    rule: "covered-by-luck" as const,
    reader,
    operation: "bdrv_set_backing_hd",
  }));
  return walks.flatMap((walk) => [
    { ...walk, list: "children", node: "top", editor: "bdrv_child_cb_detach" },
    { ...walk, list: "edge_bs", editor: "bdrv_replace_child_noperm" },
  ]);
}

/**
 * Make the graph; let `start` arrange that the iothread calls `plug` and then tells main by way of `tell`; edit when main has
 * been told; let go of everything. Polls.
 */
export function* plugThenEdit(
  world: World,
  start: (chain: Chain, plug: () => void, tell: () => undefined) => undefined | Polls<void>,
): Polls<void> {
  const chain = yield* openChain(world);
  let isTold = false;
  const plug = () => {
    blkIoPlug(chain.drive);
    blkIoUnplug(chain.drive);
  };
  const polls = start(chain, plug, () => {
    isTold = true;
    return undefined;
  });
  if (polls !== undefined) yield* polls;
  while (!isTold) yield* aioPoll(machine.mainContext, true);
  yield* dropBackingAndStay(world, chain);
  yield* closeChain(world, chain);
}
