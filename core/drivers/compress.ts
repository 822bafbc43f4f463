// `compress`: a filter whose writes are compressed by the format below it, a whole cluster at a time: parts of clusters are read,
// changed and written as a whole, as the filter's alignment is a cluster.

import { assert, ENOTSUP, type SiteId } from "../base/index.ts";
import { edgeBs, fileOf } from "../graph/access.ts";
import { BlockError } from "../graph/block-error.ts";
import { bdrvOpenDriver } from "../graph/open-node.ts";
import {
  BDRV_CHILD_FILTERED,
  BDRV_CHILD_PRIMARY,
  BDRV_REQ_WRITE_COMPRESSED,
  type BdrvChild,
  type BlockDriver,
  type BlockDriverState,
} from "../graph/state.ts";
import { bdrvGetClusterSize } from "../io/copy-on-read.ts";
import { bdrvCoPwritev } from "../io/write.ts";
import { site } from "../probe/index.ts";
import { globalStateCode, modelAssert, type Polls } from "../sched/index.ts";
import { passThrough, withoutReopen } from "./filter.ts";

const SITE_OPEN = site("compress_open");
const SITE_WRITE = site("compress_co_pwritev_part");
const SITE_CAN = site("block_driver_can_compress");

/** C: bdrv_compress. */
export const compressDriver: BlockDriver = {
  formatName: "compress",
  ...withoutReopen(passThrough(fileOf)),
  coPwritev: (bs, offset, bytes, qiov, flags) =>
    bdrvCoPwritev(file(bs, SITE_WRITE), offset, bytes, qiov, flags | BDRV_REQ_WRITE_COMPRESSED),
};

/** compress_open (block/filter-compress.c:30): above `fileBs`, whose reference it takes over. BlockError. Polls. */
export function* compressOpen(
  nodeName: string,
  fileBs: BlockDriverState,
  readOnly = false,
): Polls<BlockDriverState> {
  globalStateCode(SITE_OPEN);
  assert(!fileBs.closed, "the file is open");
  return yield* bdrvOpenDriver(compressDriver, nodeName, {
    readOnly,
    children: [{ name: "file", role: BDRV_CHILD_FILTERED | BDRV_CHILD_PRIMARY, bs: fileBs }],
    requestAlignment: bdrvGetClusterSize(fileBs),
    *drvOpen(bs): Polls<void> {
      const below = edgeBs(file(bs, SITE_CAN), SITE_CAN);
      if (below?.drv.coPwritevCompressed !== undefined) return;
      const format = below?.drv.formatName ?? "(no format)";
      const why = `Compression is not supported for underlying format: ${format}`;
      throw new BlockError(ENOTSUP, why);
    },
  });
}

function file(bs: BlockDriverState, siteId: SiteId): BdrvChild {
  const child = fileOf(bs, siteId);
  modelAssert(child !== null, "bs->file", siteId);
  return child;
}
