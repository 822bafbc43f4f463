import holeInstantDrain from "./hole-instant-drain.ts";
import { describeHole } from "./hole-test-support.ts";

// n1 is disk, n2 is throttle.
describeHole(
  holeInstantDrain,
  `
  ctx1       blk_in_flight_inc new=1
  ctx0 graph_op_begin site=blk_remove_bs
  ctx0 drain_begin kind=blk site=blk_remove_bs
  ctx1       req_end type=read ret=0
  ctx1       req_queued
  ctx0 drain_poll_end
  ctx0 drain_end site=blk_remove_bs
  ctx0 req_wake
  ! drain_begin
  ctx1       gate_read value=0
  ctx1       list_read list=blk_root site=blk_co_do_preadv_part
  ctx0   list_set list=blk_root value=e0 site=blk_remove_bs
  ctx0 drain_begin kind=subtree site=bdrv_detach_child
  ctx1       req_end type=read ret=0
  ctx0   list_remove list=parents owner=n2
  ctx1       req_end type=read ret=-ENOMEDIUM
  `,
);
