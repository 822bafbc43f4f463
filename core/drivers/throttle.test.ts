import { describe, expect, it } from "vitest";
import { blkCoPreadv, blkNewWithBs, blkUnref } from "../backend/index.ts";
import { bdrvUnref, settle } from "../graph/index.ts";
import { bdrvDrainedBegin, bdrvDrainedEnd, qiovOf } from "../io/index.ts";
import { guest, joinGuests, NO_SITE, sleepMain } from "../io/test-support.ts";
import { type Co, clockNs, hostAllocate, machine, type Polls } from "../sched/index.ts";
import { throttleGroupByName, throttleGroupDel, throttleGroupNew } from "../throttle/index.ts";
import { nullCoDriver } from "./null-co.ts";
import { nullOpen } from "./null-state.ts";
import { runDisk } from "./test-support.ts";
import { throttleOpen } from "./throttle.ts";

const buffer = () => qiovOf(hostAllocate(512));

describe("the driver throttle", () => {
  it("needs a group that exists, and leaves nothing behind when refused", () => {
    runDisk(function* (): Polls<void> {
      for (const [group, text] of [
        ["", "Throttle group '' does not exist"],
        ["none", "Throttle group 'none' does not exist"],
      ] as const) {
        const disk = yield* nullOpen(nullCoDriver, { nodeName: "disk" });
        const opened = yield* settle(() => throttleOpen("t", disk, group));
        expect(opened.ok ? "" : opened.error.message).toBe(text);
        expect(disk.closed).toBe(true);
      }
    });
  });

  it("makes requests wait, lets all go on in a drained section, and leaves its group when closed", () => {
    const log = runDisk(function* (log): Polls<void> {
      throttleGroupNew("g", { "iops-total": 1 });
      const disk = yield* nullOpen(nullCoDriver, { nodeName: "disk" });
      const bs = yield* throttleOpen("t", disk, "g");
      const blk = yield* blkNewWithBs(bs);
      const readers = [1, 2, 3, 4].map((number) =>
        guest(machine.mainContext, function* (): Co<void> {
          yield* blkCoPreadv(blk, 0, 512, buffer());
          log.push(`${number}@${clockNs()}`);
        }),
      );
      yield* sleepMain(1000);
      log.push("drain");
      yield* bdrvDrainedBegin(bs, NO_SITE);
      log.push(`in_flight=${bs.inFlight}`);
      yield* bdrvDrainedEnd(bs, NO_SITE);
      yield* joinGuests(...readers);
      expect(throttleGroupByName("g")?.refcnt).toBe(2);
      yield* blkUnref(blk);
      yield* bdrvUnref(bs);
      throttleGroupDel("g");
      expect(throttleGroupByName("g")).toBe(null);
    });
    expect(log).toBe("1@0 drain 2@1000 3@1000 4@1000 in_flight=0");
  });
});
