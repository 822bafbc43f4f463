// Detaching a child from its parent, whatever the parent is: the edge is emptied and freed, the reference that it held goes,
// and a node that nobody keeps in an iothread returns to the main context.
//
// Patch 10 drains the subtree of the child around the edit, in the locked flavour: this is reached from block_job_free,
// which holds the AioContext lock. The parent is drained by it as well, because drains spread upwards. The child's
// permissions are refreshed when the drain is over.

import { assert } from "../base/index.ts";
import { Ev, site } from "../probe/index.ts";
import { globalStateCode, machine, type Polls } from "../sched/index.ts";
import { edgeBs } from "./access.ts";
import { bdrvTryChangeAioContext } from "./aio-context.ts";
import { settle } from "./block-error.ts";
import { withSubtreeDrained } from "./edit-drains.ts";
import { graphOp } from "./graph-op.ts";
import { bdrvUnsetInheritsFrom } from "./inherits-from.ts";
import { bdrvUnref } from "./node-life.ts";
import { bdrvRefreshPerms } from "./permissions.ts";
import { bdrvReplaceChildNoperm } from "./replace-child.ts";
import type { BdrvChild, BlockDriverState } from "./state.ts";

const SITE_DETACH = site("bdrv_detach_child");
const SITE_ROOT_UNREF = site("bdrv_root_unref_child");
const SITE_UNREF_CHILD = site("bdrv_unref_child");
const SITE_CHILD_FREE = site("bdrv_child_free");

/** bdrv_unref_child (block.c:3261): `parent` lets go of `child`, an edge that is not frozen; nothing for null. Polls. */
export function* bdrvUnrefChild(parent: BlockDriverState, child: BdrvChild | null): Polls<void> {
  globalStateCode(SITE_UNREF_CHILD);
  if (child === null) return;
  assert(child.klass.parentIsBds, "the parent is a node");
  assert(child.opaque === parent, "a node lets go of its own children");
  yield* graphOp(SITE_UNREF_CHILD, function* (): Polls<void> {
    bdrvUnsetInheritsFrom(parent, child, null);
    yield* bdrvRootUnrefChild(child);
  });
}

/** bdrv_root_unref_child (block.c:3183): detach `child` and drop the reference that it held. Polls. */
export function* bdrvRootUnrefChild(child: BdrvChild): Polls<void> {
  globalStateCode(SITE_ROOT_UNREF);
  assert(!child.frozen, "an edge is thawed before it is detached");
  yield* graphOp(SITE_ROOT_UNREF, function* (): Polls<void> {
    const childBs = edgeBs(child, SITE_ROOT_UNREF);
    yield* bdrvDetachChild(child, childBs);
    assert(child.rawBs === null, "a detached edge points at nothing");
    yield* bdrvUnref(childBs);
  });
}

/** bdrv_detach_child (block.c:3073): empty and free `child`. Polls. */
function* bdrvDetachChild(child: BdrvChild, oldBs: BlockDriverState | null): Polls<void> {
  globalStateCode(SITE_DETACH);
  const drained = oldBs === null ? [] : [oldBs];
  yield* withSubtreeDrained(drained, "locked", SITE_DETACH, () =>
    bdrvReplaceChildNoperm(child, null),
  );
  bdrvChildFree(child);
  if (oldBs === null) return;
  // One parent less can only loosen, and nobody is there to tell of an error: QEMU ignores it.
  yield* settle(() => bdrvRefreshPerms(oldBs, null));
  // A node whose other parents need it where it is stays there: QEMU ignores the error too.
  yield* settle(() => bdrvTryChangeAioContext(oldBs, machine.mainContext, null));
}

/** bdrv_child_free (block.c:2895): `child` points at nothing, is in no list, and is gone. */
export function bdrvChildFree(child: BdrvChild): void {
  globalStateCode(SITE_CHILD_FREE);
  assert(child.rawBs === null, "an edge that is freed points at nothing");
  const parent = child.klass.parentIsBds ? (child.opaque as BlockDriverState) : null;
  assert(parent?.rawChildren.has(child) !== true, "an edge that is freed is in no list");
  machine.probe.emit(Ev.edge_free, child.id);
}
