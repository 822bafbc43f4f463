import holeIothreadDrain from "./hole-iothread-drain.ts";
import { describeHole } from "./hole-test-support.ts";

// n1 is base, n2 is top.
describeHole(
  holeIothreadDrain,
  `
  ctx0 drain_begin site=hole_main_section
  ctx0 drain_poll_end
  ctx1 -     drain_begin kind=subtree site=hole_iothread_drain
  ctx1 -     list_read list=children owner=n2 site=bdrv_do_drained_begin
  ctx1 -     list_read list=parents owner=n1 site=bdrv_parent_drained_begin
  ctx1 -     list_read list=children owner=n2 site=bdrv_drain_poll
  ctx1 -     list_read list=parents owner=n1 site=bdrv_parent_drained_poll
  ctx1 -     drain_end site=hole_iothread_drain
  ctx1 -     list_read list=children owner=n2 site=bdrv_do_drained_end
  ctx1 -     list_read list=parents owner=n1 site=bdrv_parent_drained_end
  ! bs_in_flight_inc
  ctx0   list_remove list=parents owner=n1
  ctx0   list_remove list=children owner=n2
  ctx0 drain_end site=hole_main_section
  `,
);
