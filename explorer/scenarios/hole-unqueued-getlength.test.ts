import { describeHole } from "./hole-test-support.ts";
import holeUnqueuedGetlength from "./hole-unqueued-getlength.ts";

// n1 is base, n2 is top.
describeHole(
  holeUnqueuedGetlength,
  `
  ctx0 drain_begin site=hole_section
  ctx0 drain_poll_end
  ctx0   list_remove list=children owner=n2
  ctx1 -     list_read list=children owner=n2 site=bdrv_is_inserted
  ! bs_in_flight_inc
  ctx0 drain_end site=hole_section
  `,
);
