// `throttle`: a filter whose requests wait for the I/O limits of a throttling group, which must exist (throttleGroupNew).
//
// A request that waits is in flight at this node, so a drain has to let it go: the begin hook disables the limits and wakes
// the queue, the end hook enables them again. One of the two drivers with drain hooks in QEMU 7.2. Its BlockBackend counterpart
// is core/backend/io-limits.ts.

import { assert, EINVAL, type SiteId } from "../base/index.ts";
import { fileOf } from "../graph/access.ts";
import { BlockError, settle, unwrap } from "../graph/block-error.ts";
import { type BlockOptionValue, type ReopenState, withoutOption } from "../graph/block-options.ts";
import { bdrvUnref } from "../graph/node-life.ts";
import { bdrvOpenDriver } from "../graph/open-node.ts";
import {
  BDRV_CHILD_FILTERED,
  BDRV_CHILD_PRIMARY,
  type BdrvChild,
  type BlockDriver,
  type BlockDriverState,
} from "../graph/state.ts";
import { bdrvCoPdiscard } from "../io/discard.ts";
import { bdrvCoPreadv } from "../io/read.ts";
import { bdrvCoPwritev } from "../io/write.ts";
import { bdrvCoPwriteZeroes } from "../io/write-zeroes.ts";
import { Owner, site } from "../probe/index.ts";
import { type Co, globalStateCode, machine, modelAssert, type Polls } from "../sched/index.ts";
import {
  type Direction,
  READS,
  ThrottleGroupMember,
  throttleGroupAttachAioContext,
  throttleGroupCoIoLimitsIntercept,
  throttleGroupDetachAioContext,
  throttleGroupExists,
  throttleGroupGetName,
  throttleGroupRegisterTgm,
  throttleGroupRestartTgm,
  throttleGroupUnregisterTgm,
  WRITES,
} from "../throttle/index.ts";
import { passThrough } from "./filter.ts";

const OPTION = "throttle-group";
const SITE_READ = site("throttle_co_preadv");
const SITE_WRITE = site("throttle_co_pwritev");
const SITE_ZEROES = site("throttle_co_pwrite_zeroes");
const SITE_DISCARD = site("throttle_co_pdiscard");
const SITE_THROTTLE_OPEN = site("throttle_open");

/** C: bdrv_throttle. The `file` of a request is looked up after its wait, as it may have changed meanwhile. */
export const throttleDriver: BlockDriver = {
  formatName: "throttle",
  ...passThrough(fileOf),
  coPreadv: (bs, offset, bytes, qiov, flags) =>
    limited(bs, bytes, READS, () => bdrvCoPreadv(file(bs, SITE_READ), offset, bytes, qiov, flags)),
  coPwritev: (bs, offset, bytes, qiov, flags) =>
    limited(bs, bytes, WRITES, () =>
      bdrvCoPwritev(file(bs, SITE_WRITE), offset, bytes, qiov, flags),
    ),
  coPwriteZeroes: (bs, offset, bytes, flags) =>
    limited(bs, bytes, WRITES, () =>
      bdrvCoPwriteZeroes(file(bs, SITE_ZEROES), offset, bytes, flags),
    ),
  coPdiscard: (bs, offset, bytes) =>
    limited(bs, bytes, WRITES, () => bdrvCoPdiscard(file(bs, SITE_DISCARD), offset, bytes)),
  drvClose: (bs) => throttleGroupUnregisterTgm(memberOf(bs)),
  coDrainBegin: throttleCoDrainBegin,
  coDrainEnd: throttleCoDrainEnd,
  detachAioContext: (bs) => throttleGroupDetachAioContext(memberOf(bs)),
  attachAioContext: (bs, ctx) => throttleGroupAttachAioContext(memberOf(bs), ctx),
  reopenPrepare: throttleReopenPrepare,
  reopenCommit: throttleReopenCommit,
};

/**
 * bdrv_open with the driver `throttle` above the node `fileBs`, whose reference it takes over: requests obey the limits of the
 * group `group`. BlockError when there is no such group, or as bdrvOpenDriver. Polls. Differs from QEMU: a member of the group
 * before it has its child, so that its timers move along when the child is in another context; QEMU 7.2 would look for the
 * timers of no group.
 */
export function* throttleOpen(
  nodeName: string,
  fileBs: BlockDriverState,
  group: string,
  readOnly = false,
): Polls<BlockDriverState> {
  globalStateCode(SITE_THROTTLE_OPEN);
  assert(!fileBs.closed, "the file is open");
  const problem = groupProblem(group);
  if (problem !== null) {
    yield* bdrvUnref(fileBs);
    throw new BlockError(EINVAL, problem);
  }
  const member = new ThrottleGroupMember({ kind: Owner.node, id: 0 });
  throttleGroupRegisterTgm(member, group, machine.mainContext);
  const opened = yield* settle(() =>
    bdrvOpenDriver(throttleDriver, nodeName, {
      opaque: member,
      children: [{ name: "file", role: BDRV_CHILD_FILTERED | BDRV_CHILD_PRIMARY, bs: fileBs }],
      options: { [OPTION]: group },
      readOnly,
      requestAlignment: fileBs.requestAlignment,
    }),
  );
  // A node that was refused before it existed did not leave the group by being closed.
  if (!opened.ok) yield* throttleGroupUnregisterTgm(member);
  const bs = unwrap(opened);
  member.owner = { kind: Owner.node, id: bs.id };
  return bs;
}

/** throttle_parse_options (block/throttle.c:45): what is wrong with the name of the group, or null. */
function groupProblem(group: BlockOptionValue | undefined): string | null {
  if (typeof group !== "string") return "Please specify a throttle group";
  return group !== "" && throttleGroupExists(group)
    ? null
    : `Throttle group '${group}' does not exist`;
}

function* limited(
  bs: BlockDriverState,
  bytes: number,
  direction: Direction,
  request: () => Co<number>,
): Co<number> {
  yield* throttleGroupCoIoLimitsIntercept(memberOf(bs), bytes, direction);
  return yield* request();
}

/** throttle_co_drain_begin (block/throttle.c:217): who waits goes on. */
function* throttleCoDrainBegin(bs: BlockDriverState): Co<void> {
  const member = memberOf(bs);
  member.ioLimitsDisabled++;
  if (member.ioLimitsDisabled === 1) throttleGroupRestartTgm(member);
}

/** throttle_co_drain_end (block/throttle.c:225). */
function* throttleCoDrainEnd(bs: BlockDriverState): Co<void> {
  const member = memberOf(bs);
  modelAssert(member.ioLimitsDisabled > 0, "tgm->io_limits_disabled");
  member.ioLimitsDisabled--;
}

/** throttle_reopen_prepare (block/throttle.c:181): another group may be named, which must exist. */
function throttleReopenPrepare(state: ReopenState): undefined {
  const group = state.options[OPTION];
  const problem = groupProblem(group);
  if (problem !== null) throw new BlockError(EINVAL, problem);
  state.remaining = withoutOption(state.remaining, OPTION);
  state.opaque = group;
}

/** throttle_reopen_commit (block/throttle.c:195). The node is drained: no request waits in the old group. Polls. */
function* throttleReopenCommit(state: ReopenState): Polls<void> {
  const { bs, opaque: group } = state;
  const member = memberOf(bs);
  assert(typeof group === "string", "the name of the group was staged");
  if (group === throttleGroupGetName(member)) return;
  yield* throttleGroupUnregisterTgm(member);
  throttleGroupRegisterTgm(member, group, bs.aioContext);
}

function memberOf(bs: BlockDriverState): ThrottleGroupMember {
  assert(bs.opaque instanceof ThrottleGroupMember, "the node is a throttle node");
  return bs.opaque;
}

function file(bs: BlockDriverState, siteId: SiteId): BdrvChild {
  const child = fileOf(bs, siteId);
  modelAssert(child !== null, "bs->file", siteId);
  return child;
}
