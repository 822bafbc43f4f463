// The state of a whole machine, kept in an image beside the guest's data. The driver has a place for it, or the primary child.

import { assert, ENOMEDIUM, ENOTSUP, type SiteId } from "../base/index.ts";
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
  return yield* moveVmstate(bs, { position, bytes, qiov, hook: "coLoadVmstate", at: SITE_READV });
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
  return yield* moveVmstate(bs, { position, bytes, qiov, hook: "coSaveVmstate", at: SITE_WRITEV });
}

/** A part of the state, and which of the driver's functions moves it. */
interface Move {
  readonly position: number;
  readonly bytes: number;
  readonly qiov: Qiov;
  readonly hook: "coLoadVmstate" | "coSaveVmstate";
  readonly at: SiteId;
}

type MoveOfDriver = (
  bs: BlockDriverState,
  position: number,
  bytes: number,
  qiov: Qiov,
) => Co<number>;

/** As in QEMU the child is looked for before the node's counter is raised, and each node on the way down counts. */
function* moveVmstate(bs: BlockDriverState, move: Move): Co<number> {
  const { position, bytes, qiov, hook, at } = move;
  const child = bdrvPrimaryChild(bs);
  const checked = bdrvCheckRequest(position, bytes, qiov);
  if (checked < 0) return checked;
  if (bs.closed || bs.ejected) return -ENOMEDIUM;
  const outermost = requestBegin(bs, Request.other, position, bytes);
  const driverMoves: MoveOfDriver | undefined = bs.drv[hook];
  let ret = -ENOTSUP;
  if (driverMoves !== undefined) ret = yield* driverMoves(bs, position, bytes, qiov);
  else if (child !== null) ret = yield* moveVmstate(nodeBehind(child, at), move);
  requestEnd(bs, Request.other, ret, outermost);
  return ret;
}
