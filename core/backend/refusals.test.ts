// What BlockBackends with their media and limits refuse: QEMU's text, its errno, and that nothing has changed, in tables. `runRefusal` compares the whole block layer
// before and after (blockLayerToText). That no text is left out is tested in core/jobs/refusals.test.ts.

import { describe, expect, it } from "vitest";
import { EBUSY, EEXIST, EINPROGRESS, EINVAL, ENOENT, ENOTSUP } from "../base/index.ts";
import type { BlockDriverState } from "../graph/index.ts";
import { CHAIN, READER, type RefusalRow, runRefusal, straight } from "../graph/test-support.ts";
import type { Polls } from "../sched/index.ts";
import {
  THROTTLE_OPS_READ,
  THROTTLE_OPS_TOTAL,
  throttleConfigInit,
  throttleGroupDel,
  throttleGroupNew,
} from "../throttle/index.ts";
import {
  type BlkOptions,
  type BlockBackend,
  type BlockDevOps,
  blkAttachDev,
  blkIoLimitsDisable,
  blkIoLimitsEnable,
  blkNewWithBs,
  blkSetDevOps,
  blkSetIoLimits,
  blockdevRemoveMedium,
  qmpBlockdevCloseTray,
  qmpBlockdevInsertAnonMedium,
  qmpBlockdevOpenTray,
  qmpEject,
} from "./index.ts";

function* driveOn(bs: BlockDriverState, options: BlkOptions = {}): Polls<BlockBackend> {
  return yield* blkNewWithBs(bs, { name: "drive", ...READER, ...options });
}

/** A device on a drive: one with a tray, or with what `ops` says. */
function* deviceOn(bs: BlockDriverState, ops: BlockDevOps): Polls<BlockBackend> {
  const blk = yield* driveOn(bs);
  blkAttachDev(blk, { id: "dev" });
  blkSetDevOps(blk, ops);
  return blk;
}

const REMOVABLE: BlockDevOps = { changeMediaCb: () => undefined };
const CLOSED: BlockDevOps = { ...REMOVABLE, isTrayOpen: () => false };

const MEDIA: readonly RefusalRow[] = [
  {
    c: "blockdev_remove_medium",
    text: "Tray of device 'drive' is not open",
    errno: EBUSY,
    graph: CHAIN,
    *body(node, refused): Polls<void> {
      const blk = yield* deviceOn(node("top"), CLOSED);
      yield* refused(() => blockdevRemoveMedium(blk));
    },
  },
  {
    c: "qmp_eject",
    text: "Device 'drive' is locked and force was not specified, wait for tray to open and try again",
    errno: EINPROGRESS,
    graph: CHAIN,
    *body(node, refused): Polls<void> {
      const blk = yield* deviceOn(node("top"), { ...CLOSED, isMediumLocked: () => true });
      yield* refused(() => qmpEject(blk, false));
    },
  },
  {
    c: "do_open_tray",
    text: "Device 'drive' is not removable",
    errno: ENOTSUP,
    graph: CHAIN,
    *body(node, refused): Polls<void> {
      const blk = yield* deviceOn(node("top"), {});
      yield* refused(() => straight(() => qmpBlockdevOpenTray(blk, true)));
      yield* refused(() => straight(() => qmpBlockdevCloseTray(blk)));
      yield* refused(() => qmpEject(blk, true));
    },
  },
  {
    c: "qmp_blockdev_insert_anon_medium",
    text: "Device is not removable",
    errno: ENOTSUP,
    graph: CHAIN,
    *body(node, refused): Polls<void> {
      const blk = yield* deviceOn(node("top"), {});
      yield* refused(() => qmpBlockdevInsertAnonMedium(blk, node("other")));
    },
  },
  {
    c: "qmp_blockdev_insert_anon_medium",
    text: "Tray of the device is not open",
    errno: EBUSY,
    graph: CHAIN,
    *body(node, refused): Polls<void> {
      const blk = yield* deviceOn(node("top"), CLOSED);
      yield* refused(() => qmpBlockdevInsertAnonMedium(blk, node("other")));
    },
  },
  {
    c: "qmp_blockdev_insert_anon_medium",
    text: "There already is a medium in the device",
    errno: EINVAL,
    graph: CHAIN,
    *body(node, refused): Polls<void> {
      const blk = yield* deviceOn(node("top"), REMOVABLE);
      yield* refused(() => qmpBlockdevInsertAnonMedium(blk, node("other")));
    },
  },
];

/** A row about throttle groups, for which the graph does not matter. */
function ofGroup(c: string, text: string, errno: number, edit: () => unknown): RefusalRow {
  return {
    c,
    text,
    errno,
    graph: CHAIN,
    *body(_node, refused): Polls<void> {
      throttleGroupNew("here");
      yield* refused(() => straight(edit));
      throttleGroupDel("here");
    },
  };
}

const GROUPS: readonly RefusalRow[] = [
  ofGroup("throttle_group_obj_complete", "Parameter 'id' is missing", EINVAL, () =>
    throttleGroupNew(""),
  ),
  ofGroup("throttle_group_obj_complete", "A group with this name already exists", EEXIST, () =>
    throttleGroupNew("here"),
  ),
  ofGroup("object_del", "object 'nobody' not found", ENOENT, () => throttleGroupDel("nobody")),
  ofGroup(
    "throttle_limits_to_config",
    "Invalid parameter type for 'iops-total', expected: integer",
    EINVAL,
    () => throttleGroupNew("new", { "iops-total": 1.5 }),
  ),
  ofGroup(
    "throttle_limits_to_config",
    "iops-total-max-length value must be in the range [0, 4294967295]",
    EINVAL,
    () => throttleGroupNew("new", { "iops-total-max-length": 2 ** 32 }),
  ),
  {
    ...ofGroup("object_del", "object 'busy' is in use, can not be deleted", EBUSY, () => 0),
    *body(node, refused): Polls<void> {
      throttleGroupNew("busy");
      const blk = yield* driveOn(node("top"));
      blkIoLimitsEnable(blk, "busy");
      yield* refused(() => straight(() => throttleGroupDel("busy")));
      yield* blkIoLimitsDisable(blk);
      throttleGroupDel("busy");
    },
  },
  {
    ...ofGroup(
      "throttle_is_valid",
      "bps/iops/max total values and read/write values cannot be used at the same time",
      EINVAL,
      () => 0,
    ),
    *body(node, refused): Polls<void> {
      const blk = yield* driveOn(node("top"));
      blkIoLimitsEnable(blk, "here");
      const cfg = throttleConfigInit();
      cfg.buckets[THROTTLE_OPS_TOTAL].avg = 1;
      cfg.buckets[THROTTLE_OPS_READ].avg = 1;
      yield* refused(() => straight(() => blkSetIoLimits(blk, cfg)));
      yield* blkIoLimitsDisable(blk);
    },
  },
];

describe.each([
  ["media", MEDIA],
  ["throttle groups", GROUPS],
] as const)("what %s cannot do is refused, and nothing has changed:", (_of, rows) => {
  it.each(rows)("$c: $text", (row) => {
    expect(runRefusal(row)).toBeGreaterThan(0);
  });
});
