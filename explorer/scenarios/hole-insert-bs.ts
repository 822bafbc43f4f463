// Known hole: a medium is inserted while the device sends requests.
//
//      drive          a BlockBackend in the iothread io0, at first without a node
//
//   main                                       io0, the device
//   .                                            reads: reads root(drive), -ENOMEDIUM
//   insert_bs(drive, disk)
//     drained section of disk: begun, ended
//     edits root(drive)
//   .                                            reads: reads root(drive), finds disk
//
// Where: blk_insert_bs (block-backend.c:901) sets blk->root when bdrv_root_attach_child has returned. Why no drain covers it:
// the drains of the attach are about the node, and a BlockBackend without a node is nobody's parent: nothing closes its gate,
// and nothing waits for its requests. Devices of QEMU are asked to stop only through the tray. Found by a storm.

import { blkCoPreadv, blkInsertBs, blkNew, blkUnref } from "#core/backend";
import { nullAioDriver, nullOpen } from "#core/drivers";
import { bdrvUnref } from "#core/graph";
import { qiovOf } from "#core/io";
import { type Co, hostAllocate, type Polls, qemuCoSleepNs } from "#core/sched";
import type { Scenario } from "../scenario.ts";
import type { World } from "../world.ts";
import { CLUSTER_BYTES, NODE_BYTES, PAUSE_NS } from "./hole-chain.ts";

const inserted = {
  rule: "race",
  list: "blk_root",
  node: "drive",
  editor: "blk_insert_bs",
} as const;

const holeInsertBs: Scenario = {
  name: "hole-insert-bs",
  title: "Main inserts a medium while the device sends requests.",
  expected: [
    {
      finds: [
        { ...inserted, reader: "blk_is_inserted" },
        { ...inserted, reader: "blk_co_do_preadv_part" },
        { ...inserted, reader: "blk_getlength" },
      ],
    },
  ],
  main,
};

export default holeInsertBs;

function* main(world: World): Polls<void> {
  const ctx = world.iothread("io0");
  const drive = blkNew(ctx, { name: "drive" });
  drive.dev = { id: drive.name };
  const disk = yield* nullOpen(nullAioDriver, { nodeName: "disk", size: NODE_BYTES });
  world.guest(ctx, function* (): Co<void> {
    const buffer = qiovOf(hostAllocate(CLUSTER_BYTES));
    for (let request = 0; request < 2; request++) {
      yield* qemuCoSleepNs(PAUSE_NS);
      yield* blkCoPreadv(drive, 0, CLUSTER_BYTES, buffer);
    }
  });
  yield* world.sleep((3 * PAUSE_NS) / 2);
  yield* blkInsertBs(drive, disk);
  yield* world.joinGuests();
  yield* bdrvUnref(disk);
  yield* world.stopIothreads();
  drive.dev = null;
  yield* blkUnref(drive);
}
