// A filter that does nothing: requests go to its one child, which is `file` or, in the second driver, `backing`. In QEMU
// `preallocate` and `throttle` filter `file`, `mirror_top` and `commit_top` filter `backing`.

import type { SiteId } from "../base/index.ts";
import { backingOf, fileOf } from "../graph/access.ts";
import type { BdrvChild, BlockDriver, BlockDriverState } from "../graph/state.ts";
import { bdrvCoPdiscard } from "../io/discard.ts";
import { nodeBehind } from "../io/inserted.ts";
import { bdrvGetlength } from "../io/length.ts";
import { bdrvCoPreadv } from "../io/read.ts";
import { bdrvCoPwritev } from "../io/write.ts";
import { bdrvCoPwriteZeroes } from "../io/write-zeroes.ts";
import { site } from "../probe/index.ts";
import { modelAssert } from "../sched/index.ts";

const SITE_READ = site("filter_co_preadv");
const SITE_WRITE = site("filter_co_pwritev");
const SITE_ZEROES = site("filter_co_pwrite_zeroes");
const SITE_DISCARD = site("filter_co_pdiscard");
const SITE_LENGTH = site("filter_getlength");

/** Reads the alias in which a filter keeps its child. */
export type FilteredOf = (bs: BlockDriverState, siteId: SiteId) => BdrvChild | null;

/**
 * What a filter passes on, as part of its driver. Truncate goes to the filtered child by itself (core/io/truncate.ts). Common.
 */
export function passThrough(
  filteredOf: FilteredOf,
): Pick<
  BlockDriver,
  | "coPreadv"
  | "coPwritev"
  | "coPwriteZeroes"
  | "coPdiscard"
  | "getlength"
  | "isFilter"
  | "hasVariableLength"
  | "reopenPrepare"
> {
  const filtered = (bs: BlockDriverState, siteId: SiteId): BdrvChild => {
    const child = filteredOf(bs, siteId);
    modelAssert(child !== null, "bs->file", siteId);
    return child;
  };
  return {
    isFilter: true,
    hasVariableLength: true,
    coPreadv: (bs, offset, bytes, qiov, flags) =>
      bdrvCoPreadv(filtered(bs, SITE_READ), offset, bytes, qiov, flags),
    coPwritev: (bs, offset, bytes, qiov, flags) =>
      bdrvCoPwritev(filtered(bs, SITE_WRITE), offset, bytes, qiov, flags),
    coPwriteZeroes: (bs, offset, bytes, flags) =>
      bdrvCoPwriteZeroes(filtered(bs, SITE_ZEROES), offset, bytes, flags),
    coPdiscard: (bs, offset, bytes) => bdrvCoPdiscard(filtered(bs, SITE_DISCARD), offset, bytes),
    getlength: (bs) => bdrvGetlength(nodeBehind(filtered(bs, SITE_LENGTH), SITE_LENGTH)),
    reopenPrepare: () => undefined,
  };
}

/** The same for a filter that cannot be reopened. Common. */
export function withoutReopen<P extends Pick<BlockDriver, "reopenPrepare">>(
  passed: P,
): Omit<P, "reopenPrepare"> {
  const { reopenPrepare: _none, ...rest } = passed;
  return rest;
}

/** A filter of its `file`. */
export const filterDriver: BlockDriver = { formatName: "filter", ...passThrough(fileOf) };

/** A filter of its `backing`. */
export const backingFilterDriver: BlockDriver = {
  formatName: "backing-filter",
  filteredChildIsBacking: true,
  ...passThrough(backingOf),
};
