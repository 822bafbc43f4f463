// I/O limits of a BlockBackend: its membership in a throttling group (core/throttle). Requests wait in requests.ts; a drained
// section of the root disables the limits (root-edge.ts); another AioContext moves the timers (context.ts).

import { assert, EINVAL } from "../base/index.ts";
import { BlockError } from "../graph/block-error.ts";
import { bdrvRef, bdrvUnref } from "../graph/node-life.ts";
import { bdrvDrainedBegin, bdrvDrainedEnd } from "../io/drain.ts";
import { site } from "../probe/index.ts";
import { globalStateCode, modelAssert, type Polls } from "../sched/index.ts";
import {
  type ThrottleConfig,
  throttleGroupConfig,
  throttleGroupGetName,
  throttleGroupRegisterTgm,
  throttleGroupUnregisterTgm,
  throttleProblem,
} from "../throttle/index.ts";
import type { BlockBackend } from "./block-backend.ts";
import { blkGetAioContext } from "./context.ts";
import { blkBs } from "./root.ts";

const SITE_DISABLE = site("blk_io_limits_disable");
const SITE_ENABLE = site("blk_io_limits_enable");
const SITE_SET_IO_LIMITS = site("blk_set_io_limits");
const SITE_IO_LIMITS_UPDATE_GROUP = site("blk_io_limits_update_group");

/** blk_set_io_limits (block-backend.c:2477): the limits of its whole group. BlockError when they are not valid. */
export function blkSetIoLimits(blk: BlockBackend, cfg: ThrottleConfig): void {
  globalStateCode(SITE_SET_IO_LIMITS);
  const tgm = blk.throttleGroupMember;
  assert(tgm.group !== null, "limits are enabled before they are set");
  // QEMU leaves this check to its callers.
  const problem = throttleProblem(cfg);
  if (problem !== null) throw new BlockError(EINVAL, problem);
  throttleGroupConfig(tgm, cfg);
}

/** blk_io_limits_enable (block-backend.c:2501): become a member of the group `group`, which is made if need be. */
export function blkIoLimitsEnable(blk: BlockBackend, group: string): void {
  globalStateCode(SITE_ENABLE);
  const tgm = blk.throttleGroupMember;
  modelAssert(tgm.group === null, "!blk->public.throttle_group_member.throttle_state", SITE_ENABLE);
  assert(group.length > 0, "a group has a name");
  throttleGroupRegisterTgm(tgm, group, blkGetAioContext(blk));
}

/** blk_io_limits_disable (block-backend.c:2483): leave the group, in a drained section, as no request may wait then. Polls. */
export function* blkIoLimitsDisable(blk: BlockBackend): Polls<void> {
  globalStateCode(SITE_DISABLE);
  const bs = blkBs(blk, SITE_DISABLE);
  const tgm = blk.throttleGroupMember;
  modelAssert(tgm.group !== null, "tgm->throttle_state", SITE_DISABLE);
  if (bs !== null) {
    bdrvRef(bs);
    yield* bdrvDrainedBegin(bs, SITE_DISABLE);
  }
  yield* throttleGroupUnregisterTgm(tgm);
  if (bs !== null) {
    yield* bdrvDrainedEnd(bs, SITE_DISABLE);
    yield* bdrvUnref(bs);
  }
  assert(tgm.group === null, "the BlockBackend is in no group");
}

/** blk_io_limits_update_group (block-backend.c:2509): be a member of another group; nothing for who is in none. Polls. */
export function* blkIoLimitsUpdateGroup(blk: BlockBackend, group: string): Polls<void> {
  globalStateCode(SITE_IO_LIMITS_UPDATE_GROUP);
  assert(group.length > 0, "a group has a name");
  const tgm = blk.throttleGroupMember;
  if (tgm.group === null || throttleGroupGetName(tgm) === group) return;
  yield* blkIoLimitsDisable(blk);
  blkIoLimitsEnable(blk, group);
  assert(throttleGroupGetName(tgm) === group, "the group is the new one");
}
