// Handing images over and taking them back: who is asked, in which order, who may refuse, and what is left then.

import { describe, expect, it } from "vitest";
import { blkNewWithBs, blkPwrite, blkSetAioContext, blkSetPerm } from "../backend/index.ts";
import { EINVAL, EIO, ENOMEDIUM, EPERM } from "../base/index.ts";
import {
  type Co,
  hostAllocate,
  iothreadCreate,
  iothreadStopJoin,
  type Polls,
} from "../sched/index.ts";
import { runMain } from "../sched/test-support.ts";
import {
  assertPermissions,
  BDRV_CHILD_IMAGE,
  BLK_PERM_ALL,
  BLK_PERM_CONSISTENT_READ,
  BLK_PERM_WRITE,
  type BlockDriver,
  type BlockDriverState,
  bdrvActivate,
  bdrvActivateAll,
  bdrvAllStates,
  bdrvInactivateAll,
  bdrvOpenDriver,
  graphToTextWithPerms,
  settle,
} from "./index.ts";

/** Results that a driver gives; what it was asked is in `log`. */
interface Asked {
  readonly log: string[];
  inactivate: number;
  invalidate: number;
}

function driverOf(asked: Asked): BlockDriver {
  return {
    formatName: "image",
    isFilter: false,
    getlength: () => 4096,
    *coPwritev(): Co<number> {
      return 0;
    },
    *inactivate(bs): Polls<number> {
      asked.log.push(`inactivate ${bs.nodeName}`);
      return asked.inactivate;
    },
    *coInvalidateCache(bs): Co<number> {
      asked.log.push(`invalidate ${bs.nodeName} in ${bs.aioContext.name}`);
      return asked.invalidate;
    },
  };
}

interface Images {
  readonly asked: Asked;
  readonly format: BlockDriverState;
  readonly file: BlockDriverState;
}

/** format --file--> file */
function withImages(body: (images: Images) => Polls<void>): void {
  const run = runMain(function* (): Polls<void> {
    const asked: Asked = { log: [], inactivate: 0, invalidate: 0 };
    const drv = driverOf(asked);
    const file = yield* bdrvOpenDriver(drv, "file");
    const children = [{ name: "file", role: BDRV_CHILD_IMAGE, bs: file }];
    const format = yield* bdrvOpenDriver(drv, "format", { children });
    yield* body({ asked, format, file });
    assertPermissions(bdrvAllStates());
  });
  expect([run.outcome, run.machine.assertion?.message]).toEqual(["ok", undefined]);
}

function* refusal(body: () => Polls<unknown>): Polls<unknown> {
  const outcome = yield* settle(body);
  return outcome.ok ? "done" : { errno: outcome.error.errno, message: outcome.error.message };
}

describe("images that move between machines", () => {
  it("are handed over from the top, and taken back from the bottom, with their permissions", () => {
    withImages(function* ({ asked, format, file }): Polls<void> {
      const blk = yield* blkNewWithBs(format, { name: "drive" });
      const before = graphToTextWithPerms();
      yield* bdrvInactivateAll();
      expect(asked.log.splice(0)).toEqual(["inactivate format", "inactivate file"]);
      expect([format.inactive, file.inactive, blk.disablePerm]).toEqual([true, true, true]);
      expect(blk.rawRoot?.perm).toBe(0);
      expect(file.rawParents.first?.perm).toBe(BLK_PERM_CONSISTENT_READ);
      // What a BlockBackend asks for meanwhile is remembered, and not had.
      const { perm, sharedPerm } = blk;
      yield* blkSetPerm(blk, { perm: BLK_PERM_WRITE, sharedPerm });
      expect([blk.perm, blk.rawRoot?.perm]).toEqual([BLK_PERM_WRITE, 0]);
      yield* blkSetPerm(blk, { perm, sharedPerm });
      assertPermissions(bdrvAllStates());
      expect(yield* bdrvActivate(format)).toBe(0);
      expect(asked.log.splice(0)).toEqual(["invalidate file in main", "invalidate format in main"]);
      expect([format.inactive, file.inactive, blk.disablePerm]).toEqual([false, false, false]);
      expect(graphToTextWithPerms()).toBe(before);
      expect(yield* blkPwrite(blk, 0, 512, hostAllocate(512))).toBe(0);
    });
  });

  it("are taken back in their own iothread, and all at once", () => {
    withImages(function* ({ asked, format }): Polls<void> {
      const ctx = iothreadCreate("io0");
      const blk = yield* blkNewWithBs(format, { name: "drive", allowAioContextChange: true });
      yield* blkSetAioContext(blk, ctx);
      yield* bdrvInactivateAll();
      asked.log.length = 0;
      yield* bdrvActivateAll();
      expect(asked.log).toEqual(["invalidate file in io0", "invalidate format in io0"]);
      expect(blk.disablePerm).toBe(false);
      yield* iothreadStopJoin(ctx);
    });
  });

  it("stay when a BlockBackend that no guest knows must go on writing", () => {
    withImages(function* ({ format, file }): Polls<void> {
      const blk = yield* blkNewWithBs(format);
      const before = graphToTextWithPerms();
      expect(yield* refusal(bdrvInactivateAll)).toMatchObject({ errno: EPERM });
      expect([format.inactive, file.inactive, blk.disablePerm]).toEqual([false, false, false]);
      expect(graphToTextWithPerms()).toBe(before);
      blk.forceAllowInactivate = true;
      expect(yield* refusal(bdrvInactivateAll)).toBe("done");
      yield* bdrvActivateAll();
      yield* blkSetPerm(blk, { perm: 0, sharedPerm: BLK_PERM_ALL });
      blk.forceAllowInactivate = false;
      expect(yield* refusal(bdrvInactivateAll)).toBe("done");
      expect([format.inactive, file.inactive]).toEqual([true, true]);
      yield* bdrvActivateAll();
    });
  });

  it("stay where they are when a driver fails", () => {
    withImages(function* ({ asked, format, file }): Polls<void> {
      asked.inactivate = -EIO;
      expect(yield* refusal(bdrvInactivateAll)).toMatchObject({ errno: EIO });
      expect([format.inactive, file.inactive]).toEqual([false, false]);
      asked.inactivate = 0;
      yield* bdrvInactivateAll();
      asked.invalidate = -EIO;
      expect(yield* refusal(() => bdrvActivate(format))).toMatchObject({ errno: EINVAL });
      expect([format.inactive, file.inactive]).toEqual([true, true]);
      asked.invalidate = 0;
      yield* bdrvActivateAll();
      expect([format.inactive, file.inactive]).toEqual([false, false]);
    });
  });

  it("cannot be taken back into a conflict of permissions", () => {
    withImages(function* ({ format }): Polls<void> {
      const sharedPerm = BLK_PERM_ALL & ~BLK_PERM_WRITE;
      const blk = yield* blkNewWithBs(format, { name: "drive", perm: BLK_PERM_WRITE, sharedPerm });
      yield* bdrvInactivateAll();
      const other = yield* blkNewWithBs(format, {
        name: "other",
        perm: BLK_PERM_CONSISTENT_READ,
        sharedPerm,
      });
      expect(yield* refusal(() => bdrvActivate(format))).toMatchObject({ errno: EINVAL });
      expect([format.inactive, blk.disablePerm]).toEqual([true, true]);
      yield* blkSetPerm(other, { perm: 0, sharedPerm: BLK_PERM_ALL });
      expect(yield* bdrvActivate(format)).toBe(0);
      expect(blk.rawRoot?.perm).toBe(BLK_PERM_WRITE);
      expect([blk.sharedPerm, blk.rawRoot?.sharedPerm]).toEqual([sharedPerm, sharedPerm]);
    });
  });

  it("are no concern of a closed node", () => {
    withImages(function* ({ file, format }): Polls<void> {
      format.closed = true;
      expect(yield* bdrvActivate(format)).toBe(-ENOMEDIUM);
      format.closed = false;
      expect(yield* bdrvActivate(file)).toBe(0);
    });
  });
});
