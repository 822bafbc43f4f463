// Life of a BlockBackend: birth, references, the node that it holds, and death after all its requests.
//
// Holding a node means a root edge, which holds a reference. blk_remove_bs drains for an instant, then forgets the root edge
// and detaches it: between the instant and the detaching nothing keeps requests away (docs/known-findings.md).

import { assert, type BlkId, EPERM, must } from "../base/index.ts";
import { bdrvRootAttachChild } from "../graph/attach.ts";
import { BlockError, settle } from "../graph/block-error.ts";
import { bdrvRootUnrefChild } from "../graph/detach.ts";
import { graphOp } from "../graph/graph-op.ts";
import { bdrvRef } from "../graph/node-life.ts";
import { bdrvReplaceChildBs } from "../graph/replace-node.ts";
import { BDRV_CHILD_FILTERED, BDRV_CHILD_PRIMARY, type BlockDriverState } from "../graph/state.ts";
import { Ev, site } from "../probe/index.ts";
import {
  type AioContext,
  globalStateCode,
  machine,
  modelAssert,
  nextId,
  type Polls,
} from "../sched/index.ts";
import { throttleGroupAttachAioContext, throttleGroupDetachAioContext } from "../throttle/index.ts";
import { type BlkOptions, BlockBackend, blockBackends } from "./block-backend.ts";
import { blkMoveIoLimits } from "./context.ts";
import { blkDrain } from "./drain.ts";
import { blkIoLimitsDisable } from "./io-limits.ts";
import { blkBs, blkRoot, setBlkRoot } from "./root.ts";
import { childRoot } from "./root-edge.ts";

const SITE_INSERT = site("blk_insert_bs");
const SITE_REMOVE = site("blk_remove_bs");
const SITE_REPLACE = site("blk_replace_bs");
const SITE_UNREF = site("blk_unref");
const SITE_DELETE = site("blk_delete");
const SITE_NEW = site("blk_new");
const SITE_NEW_WITH_BS = site("blk_new_with_bs");
const SITE_REF = site("blk_ref");

/** blk_new (block-backend.c:353): a BlockBackend in `ctx`, with one reference and no node. */
export function blkNew(ctx: AioContext, options: BlkOptions = {}): BlockBackend {
  globalStateCode(SITE_NEW);
  const blk = new BlockBackend(nextId(machine, "blk") as BlkId, ctx, options);
  blockBackends().push(blk);
  machine.probe.emit(Ev.blk_new, blk.id, machine.probe.intern(blk.name));
  const main = machine.mainContext;
  if (ctx !== main) machine.probe.emit(Ev.blk_ctx, blk.id, main.id, ctx.id);
  assert(blk.refcnt === 1, "a BlockBackend is born with the reference of its creator");
  assert(blk.rawRoot === null, "a BlockBackend is born without a node");
  return blk;
}

/** blk_new_with_bs (block-backend.c:391): in the context of `bs`, with a root edge to it. BlockError when refused. Polls. */
export function* blkNewWithBs(bs: BlockDriverState, options: BlkOptions = {}): Polls<BlockBackend> {
  globalStateCode(SITE_NEW_WITH_BS);
  const blk = blkNew(bs.aioContext, options);
  const inserted = yield* settle(() => blkInsertBs(blk, bs));
  if (!inserted.ok) {
    yield* blkUnref(blk);
    throw inserted.error;
  }
  assert(blk.rawRoot !== null, "the node is inserted");
  return blk;
}

/** blk_ref (block-backend.c:513): one more owner. */
export function blkRef(blk: BlockBackend): void {
  globalStateCode(SITE_REF);
  modelAssert(blk.refcnt > 0, "blk->refcnt > 0");
  blk.refcnt++;
  assert(blockBackends().includes(blk), "a BlockBackend with owners is alive");
}

/** blk_unref (block-backend.c:525): one owner less; the last one drains it first, and only then lets it die. Polls. */
export function* blkUnref(blk: BlockBackend): Polls<void> {
  globalStateCode(SITE_UNREF);
  modelAssert(blk.refcnt > 0, "blk->refcnt > 0", SITE_UNREF);
  if (blk.refcnt > 1) {
    blk.refcnt--;
    return;
  }
  yield* blkDrain(blk, SITE_UNREF);
  modelAssert(blk.refcnt === 1, "blk->refcnt == 1", SITE_UNREF);
  blk.refcnt = 0;
  yield* blkDelete(blk);
}

/** blk_delete (block-backend.c:470). Polls. */
function* blkDelete(blk: BlockBackend): Polls<void> {
  modelAssert(blk.refcnt === 0, "!blk->refcnt", SITE_DELETE);
  modelAssert(blk.dev === null, "!blk->dev", SITE_DELETE);
  if (blk.throttleGroupMember.group !== null) yield* blkIoLimitsDisable(blk);
  if (blkRoot(blk, SITE_DELETE) !== null) yield* blkRemoveBs(blk);
  const all = blockBackends();
  const at = all.indexOf(blk);
  assert(at >= 0, "a BlockBackend dies once");
  all.splice(at, 1);
  machine.probe.emit(Ev.blk_free, blk.id);
}

/** blk_insert_bs (block-backend.c:901): hold `bs`, by a root edge with a reference of its own. BlockError when refused. Polls. */
export function* blkInsertBs(blk: BlockBackend, bs: BlockDriverState): Polls<void> {
  globalStateCode(SITE_INSERT);
  assert(blk.rawRoot === null, "a BlockBackend holds one node");
  assert(!bs.closed, "the node has a driver");
  yield* graphOp(SITE_INSERT, function* (): Polls<void> {
    bdrvRef(bs);
    const spec = {
      name: "root",
      klass: childRoot,
      role: BDRV_CHILD_FILTERED | BDRV_CHILD_PRIMARY,
      opaque: blk,
      parentId: blk.id,
      perm: blk.perm,
      sharedPerm: blk.sharedPerm,
    };
    const attached = yield* settle(() => bdrvRootAttachChild(bs, spec));
    if (!attached.ok) throw new BlockError(EPERM, attached.error.message);
    setBlkRoot(blk, attached.value, SITE_INSERT);
    for (const notify of [...blk.insertBsNotifiers]) notify(blk);
    const tgm = blk.throttleGroupMember;
    if (tgm.group === null) return;
    throttleGroupDetachAioContext(tgm);
    throttleGroupAttachAioContext(tgm, bs.aioContext);
  });
}

/** blk_remove_bs (block-backend.c:863): let go of the node. Polls. */
export function* blkRemoveBs(blk: BlockBackend): Polls<void> {
  globalStateCode(SITE_REMOVE);
  assert(blk.rawRoot !== null, "there is a node to remove");
  yield* graphOp(SITE_REMOVE, function* (): Polls<void> {
    for (const notify of [...blk.removeBsNotifiers]) notify(blk);
    const bs = must(blkBs(blk, SITE_REMOVE), "there is a node to remove");
    yield* blkMoveIoLimits(blk, bs, machine.mainContext);
    yield* blkDrain(blk, SITE_REMOVE);
    const root = must(blkRoot(blk, SITE_REMOVE), "draining does not remove the node");
    setBlkRoot(blk, null, SITE_REMOVE);
    yield* bdrvRootUnrefChild(root);
  });
}

/** blk_replace_bs (block-backend.c:926): hold `newBs` in place of the node now held. Polls. */
export function* blkReplaceBs(blk: BlockBackend, newBs: BlockDriverState): Polls<void> {
  globalStateCode(SITE_REPLACE);
  const root = must(blkRoot(blk, SITE_REPLACE), "there is a node to replace");
  assert(root.opaque === blk, "a root edge belongs to its BlockBackend");
  yield* graphOp(SITE_REPLACE, () => bdrvReplaceChildBs(root, newBs));
}
