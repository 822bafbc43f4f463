import { expect, it } from "vitest";
import { must } from "#core/base";
import { recordScenario } from "../record-scenario.ts";
import holeDiamond from "./hole-diamond.ts";
import { describeHole } from "./hole-test-support.ts";
import { checkExpectation } from "./test-support.ts";

// n3 is r, e2 and e3 its edges to x and l, e4 the edge y.
describeHole(
  holeDiamond,
  `
  drain_begin node=n3 kind=subtree site=bdrv_attach_child
  edge_quiesce edge=e4 new=3
  list_insert list=children edge=e4
  bs_quiesce node=n3 new=4 edge=e4
  bs_quiesce node=n3 new=5 edge=e2
  ! edge_quiesce edge=e4
  bs_quiesce node=n3 new=6 edge=e3
  list_insert list=parents owner=n3 edge=e4
  edge_quiesce edge=e4 new=0
  bs_unquiesce node=n3 new=3
  bs_unquiesce node=n3 new=2
  model_assert site=bdrv_parent_drained_end
  run_end status=assertion
  `,
  () => {
    it("is gone with patch 4 off", () => {
      expect(recordScenario(holeDiamond, { seed: 1 }).machine.assertion?.message).toBe(
        "c->parent_quiesce_counter > 0",
      );
      const without = must(holeDiamond.expected?.[1], "the run with patch 4 off is promised");
      checkExpectation(holeDiamond, without);
    });
  },
);
