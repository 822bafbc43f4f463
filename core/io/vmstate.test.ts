// The state of a machine in an image, and checks of images: what the driver offers, and what follows when it offers nothing.

import { expect, it } from "vitest";
import { EIO, ENOMEDIUM, ENOTSUP } from "../base/index.ts";
import { rawOpen } from "../drivers/index.ts";
import {
  BDRV_FIX_LEAKS,
  BdrvCheckResult,
  type BlockDriver,
  bdrvOpenDriver,
  bdrvTryChangeAioContext,
  type Qiov,
} from "../graph/index.ts";
import {
  type Co,
  hostAllocate,
  iothreadCreate,
  iothreadStopJoin,
  machine,
  type Polls,
} from "../sched/index.ts";
import { runMain } from "../sched/test-support.ts";
import { bdrvCheck, bdrvLoadVmstate, bdrvSaveVmstate } from "./index.ts";

function run(body: () => Polls<void>): void {
  const { outcome, machine: ran } = runMain(body);
  expect([outcome, ran.assertion?.message]).toEqual(["ok", undefined]);
}

it("keeps the state of a machine where the driver says, or in the primary child, in its thread", () => {
  run(function* (): Polls<void> {
    const calls: string[] = [];
    const call = (what: string) =>
      function* (
        bs: { inFlight: number },
        position: number,
        bytes: number,
        qiov: Qiov,
      ): Co<number> {
        const { name } = machine.currentContext ?? { name: "" };
        calls.push(`${what} ${bytes} at ${position} of ${qiov.buffer.length} in ${name}`);
        expect(bs.inFlight).toBe(1);
        return 0;
      };
    const drv: BlockDriver = {
      formatName: "snapshots",
      isFilter: false,
      coLoadVmstate: call("load"),
      coSaveVmstate: call("save"),
    };
    const ctx = iothreadCreate("io0");
    const bs = yield* bdrvOpenDriver(drv, "bs", { totalBytes: 512 });
    const raw = yield* rawOpen("raw", bs);
    yield* bdrvTryChangeAioContext(raw, ctx, null);
    expect(yield* bdrvSaveVmstate(raw, hostAllocate(100), 1000, 80)).toBe(80);
    expect(yield* bdrvLoadVmstate(raw, hostAllocate(100), 1000, 100)).toBe(100);
    expect(calls).toEqual(["save 80 at 1000 of 100 in io0", "load 100 at 1000 of 100 in io0"]);
    expect(yield* bdrvLoadVmstate(raw, hostAllocate(100), -1, 100)).toBe(-EIO);
    expect(yield* bdrvLoadVmstate(raw, hostAllocate(100), 0, 101)).toBe(-EIO);
    expect([raw.inFlight, bs.inFlight]).toEqual([0, 0]);
    yield* iothreadStopJoin(ctx);
  });
});

it("refuses machines, and checks, where no driver can", () => {
  run(function* (): Polls<void> {
    const bs = yield* bdrvOpenDriver({ formatName: "plain", isFilter: false }, "bs", {
      totalBytes: 512,
    });
    expect(yield* bdrvSaveVmstate(bs, hostAllocate(8), 0, 8)).toBe(-ENOTSUP);
    expect(yield* bdrvLoadVmstate(bs, hostAllocate(8), 0, 8)).toBe(-ENOTSUP);
    expect(yield* bdrvCheck(bs, new BdrvCheckResult(), 0)).toBe(-ENOTSUP);
    bs.closed = true;
    expect(yield* bdrvSaveVmstate(bs, hostAllocate(8), 0, 8)).toBe(-ENOMEDIUM);
    expect(yield* bdrvLoadVmstate(bs, hostAllocate(8), 0, 8)).toBe(-ENOMEDIUM);
    expect(yield* bdrvCheck(bs, new BdrvCheckResult(), 0)).toBe(-ENOMEDIUM);
    bs.closed = false;
  });
});

it("lets the driver check, and mend", () => {
  run(function* (): Polls<void> {
    const drv: BlockDriver = {
      formatName: "leaky",
      isFilter: false,
      *coCheck(_bs, result, fix): Co<number> {
        result.leaks = 3;
        if ((fix & BDRV_FIX_LEAKS) !== 0) result.leaksFixed = 3;
        return 0;
      },
    };
    const bs = yield* bdrvOpenDriver(drv, "bs", { totalBytes: 512 });
    const result = new BdrvCheckResult();
    expect(yield* bdrvCheck(bs, result, BDRV_FIX_LEAKS)).toBe(0);
    expect(result).toMatchObject({ leaks: 3, leaksFixed: 3, corruptions: 0 });
  });
});
