import { describe, expect, it } from "vitest";
import { blkCoPreadv, blkDrainAll, blkNew, blkNewWithBs } from "../backend/index.ts";
import { bdrvNew, bdrvRef, bdrvUnref } from "../graph/index.ts";
import { type Co, hostAllocate, iothreadCreate, machine, type Polls } from "../sched/index.ts";
import {
  bdrvCoDrainAllBegin,
  bdrvDrainAllBegin,
  bdrvDrainAllCount,
  bdrvDrainAllEnd,
  bdrvDrainedBegin,
  bdrvDrainedEnd,
  qiovOf,
} from "./index.ts";
import { guest, joinGuests, NO_SITE, runDrawn } from "./test-support.ts";

describe("a drain of everything", () => {
  it("raises each node by one, whatever the graph, and each BlockBackend by one an edge", () => {
    runDrawn("a -x-> shared\nb -x-> shared", function* ({ node, counters }) {
      yield* blkNewWithBs(node("a"));
      yield* bdrvDrainAllBegin(NO_SITE);
      expect(counters()).toBe("shared 1/0/1, a 1/0/1, b 1/0/1, blk1 1");
      yield* bdrvDrainAllEnd(NO_SITE);
      expect(counters()).toBe("shared 0/0/0, a 0/0/0, b 0/0/0, blk1 0");
    });
  });

  it("quiesces a node that is born inside as often, and a node that dies inside leaves nothing behind", () => {
    runDrawn("a", function* ({ node, counters }) {
      yield* bdrvDrainAllBegin(NO_SITE);
      yield* bdrvDrainAllBegin(NO_SITE);
      const born = bdrvNew(node("a").drv, "born", null, false);
      expect(counters()).toMatch(/^a 2\/0\/2, born 2\/0\//);
      yield* bdrvUnref(node("a"));
      expect(counters()).toMatch(/^born 2\/0\//);
      yield* bdrvDrainAllEnd(NO_SITE);
      yield* bdrvDrainAllEnd(NO_SITE);
      expect(counters()).toBe("born 0/0/0");
      yield* bdrvUnref(born);
      expect(machine.mainContext.externalDisableCount).toBe(0);
    });
  });

  it("and a single drain that overlaps with it end in any order", () => {
    runDrawn("a", function* ({ node, counters }) {
      yield* bdrvDrainedBegin(node("a"), NO_SITE);
      yield* bdrvDrainAllBegin(NO_SITE);
      yield* bdrvDrainedEnd(node("a"), NO_SITE);
      expect(node("a").quiescedFor).toEqual([2]);
      expect(bdrvDrainAllCount()).toBe(1);
      yield* bdrvDrainAllEnd(NO_SITE);
      expect(counters()).toBe("a 0/0/0");
      expect(bdrvDrainAllCount()).toBe(0);
    });
  });

  it("belongs to the main context", () => {
    const body = function* (): Polls<void> {
      const ctx = iothreadCreate("io");
      const drainer = guest(ctx, () => bdrvCoDrainAllBegin(NO_SITE));
      yield* joinGuests(drainer);
    };
    const { assertion } = runDrawn("a", body, { ends: "assertion" });
    expect(assertion).toBe("qemu_in_main_thread()");
  });

  it("is handed from a coroutine to thread level", () => {
    runDrawn("a", function* ({ counters }) {
      const drainer = guest(machine.mainContext, function* (): Co<void> {
        yield* bdrvCoDrainAllBegin(NO_SITE);
        expect(counters()).toBe("a 1/0/1");
      });
      yield* joinGuests(drainer);
      yield* bdrvDrainAllEnd(NO_SITE);
      expect(counters()).toBe("a 0/0/0");
    });
  });

  it("that ends without having begun is QEMU's assertion", () => {
    const { assertion } = runDrawn("a", () => bdrvDrainAllEnd(NO_SITE), { ends: "assertion" });
    expect(assertion).toBe("bdrv_drain_all_count > 0");
  });
});

describe("blk_drain_all", () => {
  it("waits for all BlockBackends, also for one without a node", () => {
    const { log } = runDrawn("a", function* ({ node, log }) {
      bdrvRef(node("a"));
      yield* bdrvUnref(node("a"));
      const [full, empty] = [yield* blkNewWithBs(node("a")), blkNew(machine.mainContext)];
      const buffer = qiovOf(hostAllocate(512));
      const readers = [full, empty].map((blk) =>
        guest(machine.mainContext, function* (): Co<void> {
          log.push(`blk${blk.id}=${yield* blkCoPreadv(blk, 0, 512, buffer)}`);
        }),
      );
      log.push("drain");
      yield* blkDrainAll(1 as typeof NO_SITE);
      log.push("drained");
      yield* joinGuests(...readers);
    });
    expect(log).toBe("blk2=-123 drain blk1=0 drained");
  });
});
