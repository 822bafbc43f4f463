import { describeHole } from "./hole-test-support.ts";
import holeUnqueuedCopyRange from "./hole-unqueued-copy-range.ts";

// n1 is base, n2 is top.
describeHole(
  holeUnqueuedCopyRange,
  `
  ctx0 drain_begin site=hole_section
  ctx0 drain_poll_end
  ctx0   list_remove list=children owner=n2
  ! gate_read
  ctx1 -     list_read list=children owner=n2 site=bdrv_is_inserted
  ctx1 -     list_read list=edge_bs site=bdrv_co_copy_range_internal/dst
  ctx1 -     list_read list=children owner=n2 site=bdrv_is_inserted
  ctx1 t1    bs_in_flight_inc node=n2 new=1
  ctx1 t1    list_read list=backing owner=n2 site=overlay_co_copy_range_from
  ctx1 t1    req_end type=copy_range ret=0
  ctx0 drain_end site=hole_section
  `,
);
