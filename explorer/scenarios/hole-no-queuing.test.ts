import { it } from "vitest";
import holeNoQueuing from "./hole-no-queuing.ts";
import { describeHole, expectNothingFound } from "./hole-test-support.ts";

// n1 is base, n2 is top.
describeHole(
  holeNoQueuing,
  `
  ctx0 drain_begin site=hole_section
  ctx0 drain_poll_end
  ctx0   list_remove list=children owner=n2
  ctx1 t1    blk_in_flight_inc new=1
  ctx1 t1    gate_read value=1 queuing=0
  ! req_queued
  ctx1 t1    list_read list=children owner=n2 site=bdrv_is_inserted
  ctx1 t1    list_read list=backing owner=n2 site=overlay_co_preadv
  ctx1 t1    req_end type=read ret=0
  ctx0 drain_end site=hole_section
  `,
  () => {
    it("is gone when the BlockBackend queues", () => {
      expectNothingFound(holeNoQueuing, { queuing: "enabled" });
    });
  },
);
