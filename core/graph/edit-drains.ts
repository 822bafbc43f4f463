// The drained sections that an operation on the graph opens around its edits.
//
// Patch 10 gives each operation subtree drains: of the nodes named here, begun in this order and ended in reverse. They are
// of the unlocked flavour (patch 7: edits are generally made without the AioContext lock), with one exception: detach. Where
// QEMU 7.2 had a plain drain already, it stays, unless the patch replaced it. Rule of the series: a drain is begun before the
// first action of a transaction and ended after it is finalised; none is begun in a rollback.
//
// Differs from the series: the nodes are referenced as long as they are drained. Dropping a filter that has no parent takes
// the last reference from the node below it, whose drain the patch would then end on freed memory.

import { assert, type SiteId } from "../base/index.ts";
import {
  bdrvDrainedBegin,
  bdrvDrainedEnd,
  bdrvSubtreeDrainedBegin,
  bdrvSubtreeDrainedBeginUnlocked,
  bdrvSubtreeDrainedEnd,
  bdrvSubtreeDrainedEndUnlocked,
} from "../io/index.ts";
import { globalStateCode, type Polls, patchOn } from "../sched/index.ts";
import { settle, unwrap } from "./block-error.ts";
import { bdrvRef, bdrvUnref } from "./node-life.ts";
import type { BlockDriverState } from "./state.ts";

/** With patch 10, `body` runs inside subtree drains of `nodes`; without it, as it is. Polls. */
export function* withSubtreeDrained<T>(
  nodes: readonly BlockDriverState[],
  flavour: "locked" | "unlocked",
  site: SiteId,
  body: () => Polls<T>,
): Polls<T> {
  globalStateCode(site);
  assert(site > 0, "a section is named by a site");
  assert(nodes.length <= 2, "an operation drains what it takes from and what it gives to");
  if (!patchOn(10)) return yield* body();
  const locked = flavour === "locked";
  for (const bs of nodes)
    yield* locked ? bdrvSubtreeDrainedBegin(bs, site) : bdrvSubtreeDrainedBeginUnlocked(bs, site);
  for (const bs of nodes) bdrvRef(bs);
  const outcome = yield* settle(body);
  for (const bs of [...nodes].reverse())
    yield* locked ? bdrvSubtreeDrainedEnd(bs, site) : bdrvSubtreeDrainedEndUnlocked(bs, site);
  for (const bs of nodes) yield* bdrvUnref(bs);
  return unwrap(outcome);
}

/** `body` runs inside plain drains of `nodes`, ended in the order in which they were begun, as in 7.2. Polls. */
export function* withDrained<T>(
  nodes: readonly BlockDriverState[],
  site: SiteId,
  body: () => Polls<T>,
): Polls<T> {
  globalStateCode(site);
  assert(site > 0, "a section is named by a site");
  assert(nodes.length > 0, "something is drained");
  for (const bs of nodes) yield* bdrvDrainedBegin(bs, site);
  const outcome = yield* settle(body);
  for (const bs of nodes) yield* bdrvDrainedEnd(bs, site);
  return unwrap(outcome);
}
