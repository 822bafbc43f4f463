// What an image gets before anyone writes to it: when it is opened, and when a node that was read-only is reopened.

import { assert } from "../../base/index.ts";
import type { BlockDriverState } from "../../graph/state.ts";
import { site } from "../../probe/index.ts";
import { type Co, ioCode } from "../../sched/index.ts";
import * as format from "./format.ts";
import { updateHeader } from "./header-update.ts";
import { repairDirty } from "./repair.ts";
import { stateOf } from "./state.ts";

const SITE_PREPARE = site("qcow2_prepare_to_write");

/**
 * qcow2_do_open, the part for writers: features of the image that nobody here knows are declared out of date, and counts that were left
 * out of date are right again. 0 or a negated errno.
 */
export function* prepareToWrite(bs: BlockDriverState): Co<number> {
  ioCode(bs.aioContext, SITE_PREPARE);
  assert(!bs.readOnly, "somebody may write");
  const state = stateOf(bs);
  const { header } = state;
  // Whoever writes to the image and does not know a feature must say so.
  const bits = format.AUTOCLEAR_DATA_FILE_RAW | format.AUTOCLEAR_BITMAPS;
  const known = header.autoclear & bits;
  const isStale = header.bitmaps === null && hasBitmapsExtension(bs);
  if (isStale || header.autoclearHigh !== 0 || header.autoclear !== known) {
    const ret = yield* updateHeader(bs, { autoclear: known, autoclearHigh: 0 });
    if (ret < 0) return ret;
  }
  if ((header.incompatible & format.INCOMPAT_DIRTY) !== 0) {
    const ret = yield* repairDirty(bs);
    if (ret < 0) return ret;
  }
  state.preparedToWrite = true;
  return 0;
}

/** The image has bitmaps, which are lost when `bitmaps` of the header is null: a program that did not know them wrote to it. */
function hasBitmapsExtension(bs: BlockDriverState): boolean {
  return stateOf(bs).header.extensions.some(({ type }) => type === format.EXT_BITMAPS);
}
