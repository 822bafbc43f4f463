import { describeHole } from "./hole-test-support.ts";
import holeUnqueuedTruncate from "./hole-unqueued-truncate.ts";

// n1 is base, n2 is top.
describeHole(
  holeUnqueuedTruncate,
  `
  ctx0 drain_begin site=hole_section
  ctx0 drain_poll_end
  ctx0   list_remove list=children owner=n2
  ! gate_read
  ctx1 -     list_read list=children owner=n2 site=bdrv_is_inserted
  ctx1 -     list_read list=edge_bs site=bdrv_co_truncate
  ctx1 t1    bs_in_flight_inc node=n2 new=1
  ctx1 t1    req_end type=truncate ret=0
  ctx1 t1    bs_in_flight_dec node=n2 new=0
  ctx0 drain_end site=hole_section
  `,
);
