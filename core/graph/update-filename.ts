// Writing down what a node's backing file is called now, after the nodes between the two were dropped.
//
// The name stands in the image, so a read-only overlay is reopened for it, and back; both polls. Callers hold a subtree drain.

import { assert, ENOMEDIUM, ENOTSUP, strerror } from "../base/index.ts";
import { site } from "../probe/index.ts";
import { globalStateCode, type Polls } from "../sched/index.ts";
import { BlockError, settle } from "./block-error.ts";
import { bdrvReopenSetReadOnly } from "./reopen.ts";
import { BDRV_CHILD_COW, type BdrvChild, type BlockDriverState } from "./state.ts";

const SITE_UPDATE = site("bdrv_backing_update_filename");
const SITE_CHANGE = site("bdrv_change_backing_file");

/** bdrv_child_cb_update_filename (block.c:1511): of COW children alone the parent writes the name down. Polls. */
export function bdrvChildCbUpdateFilename(
  child: BdrvChild,
  base: BlockDriverState,
  filename: string,
): undefined | Polls<void> {
  globalStateCode(SITE_UPDATE);
  assert(child.klass.parentIsBds, "the parent is a node");
  if ((child.role & BDRV_CHILD_COW) === 0) return undefined;
  const parent = child.opaque as BlockDriverState;
  return bdrvBackingUpdateFilename(parent, filename, base.drv.formatName);
}

/**
 * bdrv_backing_update_filename (block.c:1339): the image of `parent`, made writable for it, names its backing file `filename`.
 * BlockError when it cannot. Polls.
 */
export function* bdrvBackingUpdateFilename(
  parent: BlockDriverState,
  filename: string,
  format: string,
): Polls<void> {
  globalStateCode(SITE_UPDATE);
  assert(!parent.closed, "the image is open");
  const wasReadOnly = parent.readOnly;
  if (wasReadOnly) yield* bdrvReopenSetReadOnly(parent, false);
  const ret = yield* bdrvChangeBackingFile(parent, filename, format);
  // As in QEMU, a node that cannot be made read-only again stays writable, and nobody is told.
  if (wasReadOnly) yield* settle(() => bdrvReopenSetReadOnly(parent, true));
  if (ret < 0) throw new BlockError(-ret, `Could not update backing file link: ${strerror(-ret)}`);
}

/** bdrv_change_backing_file (block.c:5392): the image of `bs` names its backing file so: 0 or a negated errno. Polls. */
export function* bdrvChangeBackingFile(
  bs: BlockDriverState,
  backingFile: string,
  backingFormat: string,
): Polls<number> {
  globalStateCode(SITE_CHANGE);
  if (bs.closed) return -ENOMEDIUM;
  const { changeBackingFile } = bs.drv;
  if (changeBackingFile === undefined) return -ENOTSUP;
  const ret = yield* changeBackingFile(bs, backingFile, backingFormat);
  assert(ret <= 0, "a driver returns 0 or a negated errno");
  if (ret !== 0) return ret;
  bs.backingFile = backingFile;
  bs.autoBackingId = 0;
  return ret;
}
