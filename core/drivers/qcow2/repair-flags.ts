// Mending what L1 and L2 entries say of what they name: that it is used once, and may be written in place.

import { assert } from "../../base/index.ts";
import type { BlockDriverState } from "../../graph/state.ts";
import { site } from "../../probe/index.ts";
import { type Co, ioCode } from "../../sched/index.ts";
import { join64, OFFSET_HIGH_MASK, OFFSET_LOW_MASK, OFLAG_COPIED } from "./format.ts";
import { decodeEntry } from "./l2.ts";
import { getRefcount } from "./refcount.ts";
import { stateOf } from "./state.ts";
import { tableGet, tableSet } from "./table-io.ts";
import { cacheGet } from "./write-back.ts";

const SITE_FLAGS = site("check_oflag_copied");

/** check_oflag_copied, where it repairs: the flags of the active tables agree with the counts. 0 or a negated errno. Under the lock. */
export function* mendCopiedFlags(bs: BlockDriverState): Co<number> {
  ioCode(bs.aioContext, SITE_FLAGS);
  const { l1, clusterBytes, l2Cache } = stateOf(bs);
  assert(!bs.readOnly, "a repair writes");
  for (let index = 0; index < l1.entries; index++) {
    const entry = yield* tableGet(bs, l1, index);
    if (typeof entry === "number") return entry;
    const { high, low } = entry;
    const offset = join64(high & OFFSET_HIGH_MASK, low & OFFSET_LOW_MASK);
    if (offset === 0 || offset % clusterBytes !== 0) continue;
    const wrong = yield* isWrong(bs, offset, (high & OFLAG_COPIED) !== 0);
    if (typeof wrong === "number") return wrong;
    if (wrong) yield* tableSet(bs, l1, index, { high: (high ^ OFLAG_COPIED) >>> 0, low });
    for (let at = 0; at < clusterBytes; at += l2Cache.sliceBytes) {
      const ret = yield* mendSlice(bs, offset + at);
      if (ret < 0) return ret;
    }
  }
  return 0;
}

/** The entries of one slice of an L2 table. */
function* mendSlice(bs: BlockDriverState, offset: number): Co<number> {
  const state = stateOf(bs);
  const { l2Cache, l2EntryBytes, clusterBytes } = state;
  const slice = yield* cacheGet(bs, l2Cache, offset);
  if (typeof slice === "number") return slice;
  const named: { at: number; host: number; copied: boolean }[] = [];
  for (let at = 0; at < l2Cache.sliceBytes; at += l2EntryBytes) {
    const { compressed, host, copied } = decodeEntry(state, slice, at);
    if (!compressed && host !== null && host % clusterBytes === 0) named.push({ at, host, copied });
  }
  const wrongAt: number[] = [];
  for (const { at, host, copied } of named) {
    const wrong = yield* isWrong(bs, host, copied);
    if (typeof wrong === "number") return wrong;
    if (wrong) wrongAt.push(at);
  }
  if (wrongAt.length === 0) return 0;
  // Counts were read meanwhile: the slice may have gone.
  const again = yield* cacheGet(bs, l2Cache, offset);
  if (typeof again === "number") return again;
  for (const at of wrongAt)
    again.view.setUint32(at, (again.view.getUint32(at) ^ OFLAG_COPIED) >>> 0);
  l2Cache.markDirty(again);
  return 0;
}

function* isWrong(bs: BlockDriverState, offset: number, copied: boolean): Co<boolean | number> {
  const count = yield* getRefcount(bs, offset / stateOf(bs).clusterBytes);
  return count < 0 ? count : copied !== (count === 1);
}
