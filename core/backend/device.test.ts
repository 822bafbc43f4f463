// A guest's device above a BlockBackend: its callbacks, its medium, and what it does about requests that fail.

import { describe, expect, it } from "vitest";
import { EBUSY, EINVAL, EIO, ENOSPC } from "../base/index.ts";
import {
  BLK_PERM_ALL,
  BlockError,
  bdrvOpBlock,
  bdrvParentCbChangeMedia,
  graphToText,
  settle,
} from "../graph/index.ts";
import { bdrvDrainedBegin, bdrvDrainedEnd } from "../io/index.ts";
import { type DrainTest, NO_SITE, runDrawn } from "../io/test-support.ts";
import { machine, type Polls } from "../sched/index.ts";
import {
  type BlkEvent,
  type BlockBackend,
  type BlockDevOps,
  blkAttachDev,
  blkByDev,
  blkDetachDev,
  blkErrorAction,
  blkEventListeners,
  blkGetAttachedDev,
  blkGetErrorAction,
  blkGetPerm,
  blkIostatus,
  blkIostatusEnable,
  blkIostatusReset,
  blkNew,
  blkNewWithBs,
  blkSetDevOps,
  blkSetOnError,
  blkUnref,
  blockdevRemoveMedium,
  qmpBlockdevCloseTray,
  qmpBlockdevInsertAnonMedium,
  qmpBlockdevOpenTray,
  qmpEject,
} from "./index.ts";

const CD = { id: "cd0" };

/** "ok", or the text of the refusal. Polls. */
function* tried(operation: () => Polls<void>): Polls<string> {
  const outcome = yield* settle(operation);
  return outcome.ok ? "ok" : outcome.error.message;
}

/** The same for what does not poll. */
function said(operation: () => void): string {
  try {
    operation();
    return "ok";
  } catch (error) {
    if (error instanceof BlockError) return error.message;
    throw error;
  }
}

/** Callbacks of a CD drive with a tray, or without one; they write down what they are told. */
function drive(log: string[], options: { tray?: boolean; locked?: boolean } = {}): BlockDevOps {
  let isOpen = false;
  const change = {
    changeMediaCb: (load: boolean): undefined => {
      isOpen = !load;
      log.push(load ? "load" : "eject");
    },
  };
  if (options.tray !== true) return change;
  return {
    ...change,
    isTrayOpen: () => isOpen,
    isMediumLocked: () => options.locked === true,
    ejectRequestCb: (force): undefined => void log.push(force ? "yanked" : "asked"),
  };
}

function listen(log: string[]): void {
  blkEventListeners().push((event: BlkEvent): undefined => void log.push(JSON.stringify(event)));
}

describe("a device", () => {
  it("owns its BlockBackend, is the only one, and takes its permissions along when it goes", () => {
    runDrawn("a", function* ({ node }) {
      const blk = yield* blkNewWithBs(node("a"), { perm: 1, sharedPerm: 1 });
      expect(blkAttachDev(blk, CD)).toBe(0);
      expect(blkAttachDev(blk, { id: "second" })).toBe(-EBUSY);
      expect([blk.refcnt, blkByDev(CD) === blk, blkGetAttachedDev(blk) === CD]).toEqual([
        2,
        true,
        true,
      ]);
      yield* blkDetachDev(blk, CD);
      expect([blk.refcnt, blkByDev(CD), blk.devOps, blkGetPerm(blk)]).toEqual([
        1,
        null,
        null,
        { perm: 0, sharedPerm: 15 },
      ]);
      yield* blkUnref(blk);
    });
  });

  it("that comes inside a drained section is told of it", () => {
    const { log } = runDrawn("a", function* ({ node, log }) {
      const blk = yield* blkNewWithBs(node("a"));
      yield* bdrvDrainedBegin(node("a"), NO_SITE);
      blkSetDevOps(blk, {
        drainedBegin: (): undefined => void log.push("stop"),
        drainedEnd: (): undefined => void log.push("go"),
      });
      yield* bdrvDrainedEnd(node("a"), NO_SITE);
    });
    expect(log).toBe("stop go");
  });
});

describe("a medium", () => {
  function* withDrive(
    { node, log }: DrainTest,
    options: { tray?: boolean; locked?: boolean },
    body: (blk: BlockBackend) => Polls<void>,
  ): Polls<void> {
    const blk = yield* blkNewWithBs(node("a"), { name: "ide1-cd0" });
    blkAttachDev(blk, CD);
    blkSetDevOps(blk, drive(log, options));
    listen(log);
    yield* body(blk);
  }

  it("comes out of an open tray and goes into one; the outside hears of the tray", () => {
    const { log } = runDrawn("a", function* (test) {
      yield* withDrive(test, { tray: true }, function* (blk) {
        const insert = (): Polls<void> => qmpBlockdevInsertAnonMedium(blk, test.node("a"));
        expect(yield* tried(() => blockdevRemoveMedium(blk))).toBe(
          "Tray of device 'ide1-cd0' is not open",
        );
        expect(yield* tried(insert)).toBe("Tray of the device is not open");
        qmpBlockdevOpenTray(blk, false);
        qmpBlockdevOpenTray(blk, false);
        expect(yield* tried(insert)).toBe("There already is a medium in the device");
        yield* blockdevRemoveMedium(blk);
        yield* blockdevRemoveMedium(blk);
        expect(graphToText()).toBe("a");
        expect(yield* tried(insert)).toBe("ok");
        qmpBlockdevCloseTray(blk);
      });
    });
    expect(log).toBe(
      'eject {"event":"DEVICE_TRAY_MOVED","device":"ide1-cd0","id":"cd0","trayOpen":true} ' +
        'load {"event":"DEVICE_TRAY_MOVED","device":"ide1-cd0","id":"cd0","trayOpen":false}',
    );
  });

  it("that is locked is asked for, and yanked with force", () => {
    const { log } = runDrawn("a", function* (test) {
      yield* withDrive(test, { tray: true, locked: true }, function* (blk) {
        expect(yield* tried(() => qmpEject(blk, false))).toBe(
          "Device 'ide1-cd0' is locked and force was not specified, wait for tray to open and try again",
        );
        expect(graphToText()).toBe("root=root1 a");
        expect(yield* tried(() => qmpEject(blk, true))).toBe("ok");
        expect(graphToText()).toBe("a");
      });
    });
    expect(log).toMatch(/^asked yanked eject /);
  });

  it("of a drive without a tray is changed by removing and inserting; a refusal to load takes it out again", () => {
    const { log } = runDrawn("a", function* (test) {
      yield* withDrive(test, {}, function* (blk) {
        yield* blockdevRemoveMedium(blk);
        blkSetDevOps(blk, {
          changeMediaCb: () => {
            throw new BlockError(EINVAL, "Not a disc");
          },
        });
        const insert = (): Polls<void> => qmpBlockdevInsertAnonMedium(blk, test.node("a"));
        expect(yield* tried(insert)).toBe("Not a disc");
        expect(graphToText()).toBe("a");
      });
    });
    expect(log).toBe("eject");
  });

  it("that was opened is told to every device above it, and to nobody else; one that refuses it has it all the same", () => {
    //   cd, broken -> a <- top            disk: a device without removable media
    const log: string[] = [];
    runDrawn("top -backing-> a", function* ({ node }) {
      const above = function* (name: string, ops: BlockDevOps): Polls<void> {
        const blk = yield* blkNewWithBs(node("a"), { name, perm: 0, sharedPerm: BLK_PERM_ALL });
        blkSetDevOps(blk, ops);
      };
      yield* above("cd", drive(log));
      yield* above("disk", {});
      yield* above("broken", {
        changeMediaCb: (): undefined => {
          log.push("refused");
          throw new BlockError(EIO, "no such medium");
        },
      });
      bdrvParentCbChangeMedia(node("a"), true);
      expect(log.sort()).toEqual(["load", "refused"]);
      bdrvParentCbChangeMedia(node("top"), true);
      expect(log).toHaveLength(2);
      bdrvParentCbChangeMedia(node("a"), false);
      expect(log.slice(2).sort()).toEqual(["eject", "refused"]);
    });
  });

  it("is not taken from a disk, nor while something blocks that, and nothing has changed then", () => {
    runDrawn("a", function* ({ node, log }) {
      const blk = yield* blkNewWithBs(node("a"), { name: "disk" });
      blkAttachDev(blk, { id: "vda" });
      const before = graphToText();
      const fixed = "Device 'disk' is not removable";
      expect(yield* tried(() => blockdevRemoveMedium(blk))).toBe(fixed);
      expect(yield* tried(() => qmpEject(blk, true))).toBe(fixed);
      expect(said(() => qmpBlockdevOpenTray(blk, true))).toBe(fixed);
      expect(said(() => qmpBlockdevCloseTray(blk))).toBe(fixed);
      expect(yield* tried(() => qmpBlockdevInsertAnonMedium(blk, node("a")))).toBe(
        "Device is not removable",
      );
      blkSetDevOps(blk, drive(log));
      bdrvOpBlock(node("a"), "eject", { message: "a backup runs" });
      expect(yield* tried(() => blockdevRemoveMedium(blk))).toBe(
        "Node 'disk' is busy: a backup runs",
      );
      expect(graphToText()).toBe(before);
    });
  });
});

describe("a request that fails", () => {
  it.each([
    ["report", EIO, "report"],
    ["ignore", ENOSPC, "ignore"],
    ["stop", EIO, "stop"],
    ["enospc", ENOSPC, "stop"],
    ["enospc", EIO, "report"],
  ] as const)("with policy %s and errno %i: %s", (policy, errno, action) => {
    runDrawn("a", function* () {
      const blk = blkNew(machine.mainContext);
      blkSetOnError(blk, { read: policy, write: "report" });
      expect(blkGetErrorAction(blk, true, errno)).toBe(action);
      expect(blkGetErrorAction(blk, false, errno)).toBe("report");
    });
  });

  it("that stops the machine leaves its reason until the status is reset, before the events go out", () => {
    const { log } = runDrawn("a", function* ({ node, log }) {
      const blk = yield* blkNewWithBs(node("a"), { name: "disk" });
      blkSetOnError(blk, { read: "report", write: "stop" });
      blkIostatusEnable(blk);
      blkEventListeners().push(({ event }): undefined => void log.push(`${event}:${blk.iostatus}`));
      blkErrorAction(blk, "stop", false, ENOSPC);
      blkErrorAction(blk, "stop", false, EIO);
      log.push(blkIostatus(blk));
      blkIostatusReset(blk);
      log.push(blkIostatus(blk));
    });
    expect(log).toBe(
      "BLOCK_IO_ERROR:nospace STOP:nospace BLOCK_IO_ERROR:nospace STOP:nospace nospace ok",
    );
  });

  it("is told to the outside with node, operation and reason", () => {
    const { log } = runDrawn("a", function* ({ node, log }) {
      const blk = yield* blkNewWithBs(node("a"), { name: "disk" });
      listen(log);
      blkErrorAction(blk, "report", true, EIO);
    });
    expect(JSON.parse(log)).toEqual({
      event: "BLOCK_IO_ERROR",
      device: "disk",
      nodeName: "a",
      operation: "read",
      action: "report",
      nospace: null,
      reason: "Input/output error",
    });
  });

  it("keeps no status where no policy stops the machine", () => {
    const { assertion } = runDrawn("a", noStatus, { ends: "assertion" });
    expect(assertion).toContain("blk_iostatus_is_enabled(blk)");
  });
});

function* noStatus(): Polls<void> {
  const blk = blkNew(machine.mainContext);
  blkSetOnError(blk, { read: "report", write: "ignore" });
  blkIostatusEnable(blk);
  blkErrorAction(blk, "stop", true, EIO);
}
