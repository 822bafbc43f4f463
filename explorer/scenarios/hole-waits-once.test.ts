import { it } from "vitest";
import { describeHole, expectNothingFound } from "./hole-test-support.ts";
import holeWaitsOnce from "./hole-waits-once.ts";

// n1 is base, n2 is top.
describeHole(
  holeWaitsOnce,
  `
  ctx0 drain_begin site=hole_first_section
  ctx1 t1    gate_read value=1 queuing=1
  ctx1 t1    req_queued
  ctx0 drain_end site=hole_first_section
  ctx0 req_wake
  ctx0 drain_begin site=hole_section
  ctx0 drain_poll_end
  ctx0   list_remove list=children owner=n2
  ! drain_end site=hole_section
  ctx1 t1    req_resumed
  ! gate_read
  ctx1 t1    list_read list=children owner=n2 site=bdrv_is_inserted
  ctx1 t1    list_read list=backing owner=n2 site=overlay_co_preadv
  ctx1 t1    req_end type=read ret=0
  ctx0 drain_end site=hole_section
  `,
  () => {
    it("is gone when the request looks at the gate until it is open", () => {
      expectNothingFound(holeWaitsOnce, { waits: "until the gate is open" });
    });
  },
);
