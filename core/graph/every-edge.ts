// A loop over a list of edges whose body polls: QEMU's plain QLIST_FOREACH, which an edit meanwhile can lead astray.

import { assert, type SiteId } from "../base/index.ts";
import { Ev, List } from "../probe/index.ts";
import { globalStateCode, machine, type Polls } from "../sched/index.ts";
import { settle, unwrap } from "./block-error.ts";
import type { BdrvChild, BlockDriverState, EdgeList } from "./state.ts";

/** Let `follow` act on each edge of `list`, one of `bs`, until one throws (C: QLIST_FOREACH, not safe). Polls. */
export function* everyEdge(
  bs: BlockDriverState,
  list: EdgeList,
  siteId: SiteId,
  follow: (edge: BdrvChild) => Polls<void>,
): Polls<void> {
  globalStateCode(siteId);
  const which = List[list.which];
  assert(which !== List.none, "a list of edges is one of two");
  machine.probe.emit(Ev.iter_begin, which, bs.id, siteId);
  const outcome = yield* settle(function* (): Polls<void> {
    for (let edge = list.first; edge !== null; edge = list.next(edge)) yield* follow(edge);
  });
  machine.probe.emit(Ev.iter_end, which, bs.id, siteId);
  unwrap(outcome);
}
