// Where the bytes of a BlockBackend's image come from, for exports that tell their clients.

import { assert, ENOMEDIUM } from "../base/index.ts";
import { bdrvCoCommonBlockStatusAbove, type StatusAbove } from "../io/block-status.ts";
import { Request, site } from "../probe/index.ts";
import { type Co, coChain, coThen, ioOrGsCode, settled } from "../sched/index.ts";
import type { BlockBackend } from "./block-backend.ts";
import { blkWaitWhileDrained } from "./gate.ts";
import { blkReqBegin, blkReqEnd } from "./requests.ts";
import { blkBs } from "./root.ts";

const SITE_STATUS = site("blk_co_block_status_above");

const WHOLE_CHAIN = { base: null, includeBase: false };

/**
 * blk_co_block_status_above (QEMU 8.0), down the whole chain: the status of the start of a range, with how many layers down it was
 * found. Differs from QEMU: it is a request of the BlockBackend, which waits at its gate and is counted, as the walk is not.
 */
export function blkCoBlockStatusAbove(
  blk: BlockBackend,
  offset: number,
  bytes: number,
): Co<StatusAbove> {
  ioOrGsCode(blk.ctx, SITE_STATUS);
  assert(bytes > 0, "a status is that of some bytes");
  blkReqBegin(blk, Request.other, offset, bytes);
  const asked = coChain(blkWaitWhileDrained(blk), (): Co<StatusAbove> => {
    const bs = blkBs(blk, SITE_STATUS);
    if (bs === null) return settled({ ret: -ENOMEDIUM, pnum: 0, map: 0, file: null, depth: 0 });
    return bdrvCoCommonBlockStatusAbove(bs, WHOLE_CHAIN, { wantZero: true, offset, bytes });
  });
  return coThen(asked, (status) => {
    blkReqEnd(blk, Request.other, Math.min(status.ret, 0));
    return status;
  });
}
