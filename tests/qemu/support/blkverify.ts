// The driver `blkverify` as far as its place in the graph goes: a filter of `raw`, with a second child, `test`. No case sends it
// requests.

import {
  BDRV_CHILD_DATA,
  BDRV_CHILD_FILTERED,
  BDRV_CHILD_PRIMARY,
  type BlockDriver,
  type BlockDriverState,
  bdrvOpenDriver,
  bdrvRef,
} from "#core/graph";
import type { Polls } from "#core/sched";

/** C: bdrv_blkverify. */
const blkverifyDriver: BlockDriver = { formatName: "blkverify", isFilter: true };

/** bdrv_open with the driver `blkverify` and two nodes by name, of which it takes references of its own. Polls. */
export function* openBlkverify(
  raw: BlockDriverState,
  test: BlockDriverState,
): Polls<BlockDriverState> {
  bdrvRef(raw);
  bdrvRef(test);
  const children = [
    { name: "raw", role: BDRV_CHILD_FILTERED | BDRV_CHILD_PRIMARY, bs: raw },
    { name: "test", role: BDRV_CHILD_DATA, bs: test },
  ];
  return yield* bdrvOpenDriver(blkverifyDriver, "", { children, totalBytes: 0 });
}
