import holeInsertBs from "./hole-insert-bs.ts";
import { describeHole } from "./hole-test-support.ts";

// blk1 is drive.
describeHole(
  holeInsertBs,
  `
  ctx1 list_read list=blk_root owner=blk1 site=blk_co_do_preadv_part
  ctx0 drain_end site=bdrv_root_attach_child
  ctx0 list_set list=blk_root owner=blk1 site=blk_insert_bs
  ctx1 list_read list=blk_root owner=blk1 site=blk_co_do_preadv_part
  `,
);
