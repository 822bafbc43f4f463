import { describe, expect, it } from "vitest";
import { must } from "#core/base";
import { recordScenario } from "../record-scenario.ts";
import holeAttachPolls from "./hole-attach-polls.ts";
import { describeHole, expectEvents, linesOf } from "./hole-test-support.ts";
import { checkExpectation, judge } from "./test-support.ts";

// n1 is base, n2 is top, e2 the edge from top to base.
describeHole(
  holeAttachPolls,
  `
  ctx1 drain_begin node=n1 site=hole_job_drain
  ctx1   bs_quiesce node=n1 new=1
  ctx0 graph_op_begin site=bdrv_set_backing_hd
  ctx0   bs_quiesce node=n1 new=2 edge=e0
  ctx0   edge_quiesce edge=e2 new=2
  ctx0   bs_quiesce node=n1 new=3 edge=e2
  ctx1 drain_end site=hole_job_drain
  ctx1   list_read list=parents owner=n1 site=bdrv_parent_drained_end
  ! edge_quiesce
  ctx1   bs_unquiesce node=n1 new=2
  ctx0   list_insert list=parents owner=n1 edge=e2
  ctx0   edge_quiesce edge=e2 new=1
  ctx0   bs_unquiesce node=n1 new=0
  ctx0 graph_op_end site=bdrv_set_backing_hd
  ctx1       gate_read value=1
  ctx1       req_queued
  ! req_resumed
  run_end status=ok
  `,
  () => {
    it("leaves nothing behind with patch 4 off, and the read comes back", () => {
      const without = must(holeAttachPolls.expected?.[1], "the run with patch 4 off is promised");
      checkExpectation(holeAttachPolls, without);
      const lines = linesOf(recordScenario(holeAttachPolls, { seed: 1, without: [4] }).bytes);
      expectEvents(
        lines,
        `
        ctx0   list_insert list=parents owner=n1 edge=e2
        ctx1 drain_end site=hole_job_drain
        ctx1   edge_quiesce edge=e2 new=1
        ctx0   edge_quiesce edge=e2 new=0
        ctx1       gate_read value=0
        ctx1       req_end type=read ret=0
        `,
      );
    });
  },
);

describe("a drain that begins in an iothread while attach polls", () => {
  const params = { drain: "begins" };

  it("fails QEMU's assertion when it ends, because of patch 4", () => {
    const run = recordScenario(holeAttachPolls, { seed: 1, params });
    expect(run.machine.assertion?.message).toBe("c->parent_quiesce_counter > 0");
    expect(judge(run.bytes).findings.map(({ rule }) => rule)).toContain("modelled-assertion");
    expect(recordScenario(holeAttachPolls, { seed: 1, params, without: [4] }).outcome).toBe("ok");
  });
});
