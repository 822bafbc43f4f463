// The assertion that the series of January 2022 was about: who edits a node's lists runs in the main context, and the node
// is drained. Before patch 11 only the first half was checked.
//
// What it cannot see, and the analyzer must: that the drain is this operation's own, and that its poll phase has ended.

import type { SiteId } from "../base/index.ts";
import { globalStateCode, machine, modelAssert, patchOn } from "../sched/index.ts";
import type { BlockDriverState } from "./state.ts";

/** assert_bdrv_graph_writable: the lists of `bs` may be edited now, by the function at `site`. */
export function assertBdrvGraphWritable(bs: BlockDriverState, site: SiteId): void {
  globalStateCode(site);
  modelAssert(machine.currentContext === machine.mainContext, "qemu_in_main_thread()", site);
  if (!patchOn(11)) return;
  modelAssert(bs.quiesceCounter > 0, "qatomic_read(&bs->quiesce_counter) > 0", site);
}
