// Known hole: a BlockBackend that is in use loses its node after an instant drain.
//
//      drive --> throttle --file--> disk       throttle: a filter with drain hooks; a read of disk takes a while
//
//   main                                       io0, a guest that reads until there is no medium
//     .                                        1st read: in flight
//   remove_bs(drive)
//     drained_begin(throttle): waits           1st read is over; 2nd read: the gate is closed; queued
//     drained_end(throttle): opens the gate
//     .  waits for the filter's end hook       the hook ends; 2nd read: let in, reads blk_root(drive); in flight
//     edits blk_root(drive): none
//     detaches the edge, in a section that     2nd read is over
//     waits for the 2nd read                   3rd read: no medium
//
// Where: blk_remove_bs (block-backend.c:863) calls blk_drain, which is a drained_begin with its drained_end at once, and then
// clears blk->root. Why no drain covers it: the section has ended before the edit. A request that is let in between has read
// blk->root, and goes on with it; had it not yet, it would find null where it has just found a node. In QEMU any interleaving
// of the two threads will do; here steps are whole, and the wait for an end hook (as in block/throttle.c:225) is where the
// guest comes in.

import { blkCoPreadv, blkRemoveBs, blkUnref } from "#core/backend";
import { filterDriver, nullAioDriver, nullOpen } from "#core/drivers";
import {
  BDRV_CHILD_FILTERED,
  BDRV_CHILD_PRIMARY,
  type BlockDriver,
  bdrvOpenDriver,
  bdrvUnref,
} from "#core/graph";
import { qiovOf } from "#core/io";
import { type Co, hostAllocate, type Polls } from "#core/sched";
import type { Scenario } from "../scenario.ts";
import type { World } from "../world.ts";
import { CLUSTER_BYTES, openDrive, PAUSE_NS } from "./hole-chain.ts";

const READERS = ["blk_co_do_preadv_part", "blk_is_inserted", "blk_getlength"];

const holeInstantDrain: Scenario = {
  name: "hole-instant-drain",
  title: "A BlockBackend in use is detached after an instant drain.",
  expected: [
    {
      finds: READERS.map((reader) => ({
        rule: "race",
        list: "blk_root",
        node: "drive",
        reader,
        editor: "blk_remove_bs",
      })),
    },
  ],
  main,
};

export default holeInstantDrain;

/** C: bdrv_throttle, without the throttling: its hooks take no time, but a drain has to wait for them. */
const throttleDriver: BlockDriver = {
  ...filterDriver,
  formatName: "throttle",
  *coDrainBegin(): Co<void> {},
  *coDrainEnd(): Co<void> {},
};

function* main(world: World): Polls<void> {
  const ctx = world.iothread("io0");
  const disk = yield* nullOpen(nullAioDriver, { nodeName: "disk", latencyNs: PAUSE_NS });
  const role = BDRV_CHILD_FILTERED | BDRV_CHILD_PRIMARY;
  const throttle = yield* bdrvOpenDriver(throttleDriver, "throttle", {
    children: [{ name: "file", role, bs: disk }],
  });
  const drive = yield* openDrive(ctx, throttle);
  world.guest(ctx, function* (): Co<void> {
    const qiov = qiovOf(hostAllocate(CLUSTER_BYTES));
    let ret = 0;
    while (ret >= 0) ret = yield* blkCoPreadv(drive, 0, CLUSTER_BYTES, qiov);
  });
  yield* world.sleep(PAUSE_NS / 2);
  yield* blkRemoveBs(drive);
  yield* world.joinGuests();
  yield* bdrvUnref(throttle);
  drive.dev = null;
  yield* blkUnref(drive);
  yield* world.stopIothreads();
}
