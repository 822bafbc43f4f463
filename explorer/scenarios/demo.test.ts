import { describe, expect, it } from "vitest";
import demo from "./demo.ts";
import { checkRun } from "./test-support.ts";

const OFF = [10, 11] as const;

describe("the demo's workload", () => {
  it.each([1, 2, 3])("does all that it promises (seed %i)", (seed) => {
    const run = checkRun(demo, { seed });
    expect(run.outcome).toBe("ok");
    expect(run.count("list_insert", "list_remove")).toBeGreaterThanOrEqual(50);
    const [requests, failed, checked, grown] = (run.notes[0] ?? "").match(/\d+/g) ?? [];
    expect(Number(requests)).toBeGreaterThanOrEqual(2000);
    for (const some of [failed, checked, grown]) expect(Number(some)).toBeGreaterThan(0);
    expect([...run.operations]).toEqual(
      expect.arrayContaining([
        "bdrv_insert_node",
        "bdrv_drop_filter",
        "bdrv_append",
        "bdrv_replace_node",
        "bdrv_add_child",
        "bdrv_del_child",
        "blk_insert_bs",
        "blk_remove_bs",
      ]),
    );
  });

  it.each([
    ["patches 10 and 11 off", { without: OFF }],
    ["patches 10 and 11 off, AioContext lock", { without: OFF, lock: "aio" }],
    ["PCT", { scheduler: "pct" }],
    ["round robin", { scheduler: "round-robin" }],
    ["the default policy", { scheduler: "default" }],
  ] as const)("ends well with %s", (_what, options) => {
    expect(checkRun(demo, { seed: 4, ...options }).outcome).toBe("ok");
  });

  it("stops: the AioContext lock held across an unlocked drain (patch 7) keeps the iothread out", () => {
    const run = checkRun(demo, { seed: 1, lock: "aio", params: { requests: "8" } });
    expect(run.outcome).toBe("deadlock");
  });
});
