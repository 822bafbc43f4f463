// What every request of a BlockBackend asks first: is there a node with a medium, and does the range lie in it. Each question
// reads the root edge anew, as in C.

import { EIO, ENOMEDIUM } from "../base/index.ts";
import { bdrvIsInserted } from "../io/inserted.ts";
import { bdrvGetlength } from "../io/length.ts";
import { site } from "../probe/index.ts";
import { ioCode, modelAssert } from "../sched/index.ts";
import type { BlockBackend } from "./block-backend.ts";
import { blkBs } from "./root.ts";

const SITE_INSERTED = site("blk_is_inserted");
const SITE_LENGTH = site("blk_getlength");
const SITE_IS_AVAILABLE = site("blk_is_available");
const SITE_CHECK_BYTE_REQUEST = site("blk_check_byte_request");

/** blk_is_inserted (block-backend.c:1965). */
export function blkIsInserted(blk: BlockBackend): boolean {
  ioCode(blk.ctx, SITE_INSERTED);
  const bs = blkBs(blk, SITE_INSERTED);
  return bs !== null && bdrvIsInserted(bs);
}

/** blk_is_available (block-backend.c:1973). Differs from QEMU: no device here has a tray that could be open. */
export function blkIsAvailable(blk: BlockBackend): boolean {
  ioCode(blk.ctx, SITE_IS_AVAILABLE);
  return blkIsInserted(blk);
}

/** blk_getlength (block-backend.c:1581): bytes, or a negated errno. Holds no counter and does not queue. */
export function blkGetlength(blk: BlockBackend): number {
  ioCode(blk.ctx, SITE_LENGTH);
  if (!blkIsAvailable(blk)) return -ENOMEDIUM;
  const bs = blkBs(blk, SITE_LENGTH);
  modelAssert(bs !== null, "blk_bs(blk)", SITE_LENGTH);
  return bdrvGetlength(bs);
}

/** blk_check_byte_request (block-backend.c:1238): 0, or the negated errno of a request that cannot be. */
export function blkCheckByteRequest(blk: BlockBackend, offset: number, bytes: number): number {
  ioCode(blk.ctx, SITE_CHECK_BYTE_REQUEST);
  if (bytes < 0) return -EIO;
  if (!blkIsAvailable(blk)) return -ENOMEDIUM;
  if (offset < 0) return -EIO;
  if (blk.allowWriteBeyondEof) return 0;
  const length = blkGetlength(blk);
  if (length < 0) return length;
  return offset > length || length - offset < bytes ? -EIO : 0;
}
