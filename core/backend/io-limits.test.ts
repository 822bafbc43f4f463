import { describe, expect, it } from "vitest";
import { settle } from "../graph/index.ts";
import { EventLog } from "../graph/test-support.ts";
import { bdrvDrainedBegin, bdrvDrainedEnd, qiovOf } from "../io/index.ts";
import { guest, joinGuests, NO_SITE, READ_NS, runDrawn, sleepMain } from "../io/test-support.ts";
import {
  type Co,
  clockNs,
  hostAllocate,
  iothreadCreate,
  machine,
  type Polls,
} from "../sched/index.ts";
import {
  type ThrottleLimits,
  throttleConfigInit,
  throttleGroupDetachAioContext,
  throttleGroups,
  throttleLimitsToConfig,
} from "../throttle/index.ts";
import {
  type BlockBackend,
  blkCoPreadv,
  blkIoLimitsDisable,
  blkIoLimitsEnable,
  blkNewWithBs,
  blkRemoveBs,
  blkSetAioContext,
  blkSetIoLimits,
  blkUnref,
} from "./index.ts";

const SECOND = 1_000_000_000;

function limit(blk: BlockBackend, limits: ThrottleLimits, group = "g"): void {
  blkIoLimitsEnable(blk, group);
  blkSetIoLimits(blk, throttleLimitsToConfig(limits, throttleConfigInit()));
}

/** Start `count` reads at once; each logs its name and when, in tenths of a second, it was done. */
function readers(blk: BlockBackend, log: string[], name: string, count: number) {
  return Array.from({ length: count }, () =>
    guest(blk.ctx, function* (): Co<void> {
      const ret = yield* blkCoPreadv(blk, 0, 512, qiovOf(hostAllocate(512)));
      log.push(`${name}@${Math.floor(clockNs() / (SECOND / 10))}${ret < 0 ? ret : ""}`);
    }),
  );
}

describe("I/O limits", () => {
  it("let a tenth of a second's worth through and one after the other then", () => {
    const probe = new EventLog(["throttle_wait", "throttle_resumed"]);
    const { log } = runDrawn(
      "a",
      function* ({ node, log }) {
        const blk = yield* blkNewWithBs(node("a"));
        limit(blk, { "iops-total": 10 });
        yield* joinGuests(...readers(blk, log, "r", 4));
        yield* blkUnref(blk);
        expect(throttleGroups()).toEqual([]);
      },
      { probe },
    );
    expect(log).toBe("r@0 r@0 r@1 r@2");
    expect(probe.lines.map((line) => line.split(" ")[0])).toEqual([
      "throttle_wait",
      "throttle_wait",
      "throttle_resumed",
      "throttle_resumed",
    ]);
  });

  it("take turns among the members of a group", () => {
    const { log } = runDrawn("a", function* ({ node, log }) {
      const one = yield* blkNewWithBs(node("a"));
      const two = yield* blkNewWithBs(node("a"));
      limit(one, { "iops-total": 10 });
      blkIoLimitsEnable(two, "g");
      const all = [...readers(one, log, "one", 4), ...readers(two, log, "two", 2)];
      yield* joinGuests(...all);
      yield* blkUnref(one);
      yield* blkUnref(two);
    });
    expect(log).toBe("one@0 one@0 one@1 two@2 one@3 two@4");
  });

  it("do not hold in a drained section, which waits for the requests of its own BlockBackend alone", () => {
    const { log } = runDrawn("a\nb", function* ({ node, log }) {
      const one = yield* blkNewWithBs(node("a"));
      const two = yield* blkNewWithBs(node("b"));
      limit(one, { "iops-total": 1 });
      blkIoLimitsEnable(two, "g");
      const all = [...readers(two, log, "two", 2), ...readers(one, log, "one", 3)];
      yield* bdrvDrainedBegin(node("a"), NO_SITE);
      log.push(`drained@${Math.floor(clockNs() / (SECOND / 10))}`);
      yield* bdrvDrainedEnd(node("a"), NO_SITE);
      yield* joinGuests(...all);
      yield* blkUnref(one);
      yield* blkUnref(two);
    });
    expect(log).toMatch(/^(two@0 )?(one@0 ){3}drained@0 .*two@\d+$/);
  });

  const loosen = function* (blk: BlockBackend): Polls<void> {
    blkSetIoLimits(blk, throttleConfigInit());
  };
  const changes: readonly (readonly [string, (blk: BlockBackend) => Polls<void>])[] = [
    ["loosened", loosen],
    ["disabled", (blk) => blkIoLimitsDisable(blk)],
    ["left with the node", (blk) => blkRemoveBs(blk)],
    ["left with the BlockBackend", (blk) => blkUnref(blk)],
    ["moved", (blk) => blkSetAioContext(blk, iothreadCreate("other"))],
  ];

  it.each(changes)("that are %s let the requests go on that wait", (_name, change) => {
    const { log } = runDrawn("a", function* ({ node, log }) {
      const blk = yield* blkNewWithBs(node("a"), { allowAioContextChange: true });
      yield* blkSetAioContext(blk, iothreadCreate("io"));
      limit(blk, { "iops-total": 1 });
      const all = readers(blk, log, "r", 3);
      yield* sleepMain(10 * READ_NS);
      yield* change(blk);
      yield* joinGuests(...all);
    });
    expect(log).toBe("r@0 r@0 r@0");
  });

  it("B33: moved away without a drain they would leave requests that nobody wakes", () => {
    const { assertion } = runDrawn(
      "a",
      function* ({ node, log }) {
        const blk = yield* blkNewWithBs(node("a"));
        limit(blk, { "iops-total": 1 });
        readers(blk, log, "r", 2);
        yield* sleepMain(10 * READ_NS);
        throttleGroupDetachAioContext(blk.throttleGroupMember);
      },
      { ends: "assertion" },
    );
    expect(assertion).toBe("tgm->pending_reqs[0] == 0 && tgm->pending_reqs[1] == 0");
  });

  it("are left only when no coroutine that wakes requests is under way in an iothread", () => {
    runDrawn("a", function* ({ node }) {
      const blk = yield* blkNewWithBs(node("a"));
      yield* blkSetAioContext(blk, iothreadCreate("io"));
      limit(blk, { "iops-total": 1 });
      const tgm = blk.throttleGroupMember;
      // The change of the limits has sent two coroutines into the iothread.
      expect(tgm.restartPending).toBe(2);
      yield* blkIoLimitsDisable(blk);
      expect(tgm.restartPending).toBe(0);
      expect(tgm.group).toBe(null);
    });
  });

  it.each([
    [
      { "bps-total": 1, "bps-read": 1 },
      "bps/iops/max total values and read/write values cannot be used at the same time",
    ],
    [{ "iops-size": 1 }, "iops size requires an iops value to be set"],
    [{ "bps-total": -1 }, "bps/iops/max values must be within [0, 1000000000000000]"],
    [{ "bps-read": 1.5 }, "Invalid parameter type for 'bps-read', expected: integer"],
    [{ "bps-read": 1, "bps-read-max-length": 0 }, "the burst length cannot be 0"],
    [{ "bps-read": 1, "bps-read-max-length": 2 }, "burst length set without burst rate"],
    [{ "bps-read-max": 2 }, "bps_max/iops_max require corresponding bps/iops values"],
    [{ "bps-read": 3, "bps-read-max": 2 }, "bps_max/iops_max cannot be lower than bps/iops"],
    [
      { "bps-read": 1, "bps-read-max": 1, "bps-read-max-length": 2 ** 32 },
      "bps-read-max-length value must be in the range [0, 4294967295]",
    ],
  ] as const)("%j are refused", (limits, text) => {
    runDrawn("a", function* () {
      expect(machine.mainContext).toBeDefined();
      const refused = yield* settle(function* (): Polls<unknown> {
        return throttleLimitsToConfig(limits, throttleConfigInit());
      });
      expect(refused.ok ? "" : refused.error.message).toBe(text);
    });
  });
});
