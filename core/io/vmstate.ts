// The state of a whole machine, kept in an image beside the guest's data. The driver has a place for it, or the primary child.

import { assert, ENOMEDIUM, ENOTSUP } from "../base/index.ts";
import { bdrvPrimaryChild } from "../graph/chain.ts";
import type { BlockDriverState, Qiov } from "../graph/state.ts";
import { Request, site } from "../probe/index.ts";
import { type Co, ioCode } from "../sched/index.ts";
import { bdrvCheckRequest } from "./check-request.ts";
import { nodeBehind } from "./inserted.ts";
import { requestBegin, requestEnd } from "./request.ts";

const SITE_READV = site("bdrv_co_readv_vmstate");
const SITE_WRITEV = site("bdrv_co_writev_vmstate");

/** bdrv_co_readv_vmstate (io.c:2813): `bytes` from `position` on into `qiov`. 0 or a negated errno. */
export function* bdrvCoReadvVmstate(
  bs: BlockDriverState,
  position: number,
  bytes: number,
  qiov: Qiov,
): Co<number> {
  ioCode(bs.aioContext, SITE_READV);
  assert(bs.id > 0, "a node has a number");
  const child = bdrvPrimaryChild(bs);
  const checked = bdrvCheckRequest(position, bytes, qiov);
  if (checked < 0) return checked;
  if (bs.closed) return -ENOMEDIUM;
  const outermost = requestBegin(bs, Request.other, position, bytes);
  let ret = -ENOTSUP;
  if (bs.drv.coLoadVmstate !== undefined)
    ret = yield* bs.drv.coLoadVmstate(bs, position, bytes, qiov);
  else if (child !== null)
    ret = yield* bdrvCoReadvVmstate(nodeBehind(child, SITE_READV), position, bytes, qiov);
  requestEnd(bs, Request.other, ret, outermost);
  return ret;
}

/** bdrv_co_writev_vmstate (io.c:2845): `bytes` of `qiov` to `position`. 0 or a negated errno. */
export function* bdrvCoWritevVmstate(
  bs: BlockDriverState,
  position: number,
  bytes: number,
  qiov: Qiov,
): Co<number> {
  ioCode(bs.aioContext, SITE_WRITEV);
  assert(bs.id > 0, "a node has a number");
  const child = bdrvPrimaryChild(bs);
  const checked = bdrvCheckRequest(position, bytes, qiov);
  if (checked < 0) return checked;
  if (bs.closed) return -ENOMEDIUM;
  const outermost = requestBegin(bs, Request.other, position, bytes);
  let ret = -ENOTSUP;
  if (bs.drv.coSaveVmstate !== undefined)
    ret = yield* bs.drv.coSaveVmstate(bs, position, bytes, qiov);
  else if (child !== null)
    ret = yield* bdrvCoWritevVmstate(nodeBehind(child, SITE_WRITEV), position, bytes, qiov);
  requestEnd(bs, Request.other, ret, outermost);
  return ret;
}
