// After QEMU's tests/unit/test-bdrv-drain.c. Counters are `node quiesce/recursive/hooks`, `blk quiesce`.

import { describe, expect, it } from "vitest";
import {
  blkAioPreadv,
  blkCoPreadv,
  blkNewWithBs,
  blkSetAioContext,
  blkUnref,
} from "../backend/index.ts";
import type { BlockDriverState } from "../graph/index.ts";
import { type Co, hostAllocate, iothreadCreate, machine, type Polls } from "../sched/index.ts";
import {
  bdrvCoDrainedBegin,
  bdrvCoDrainedEnd,
  bdrvCoSubtreeDrainedBegin,
  bdrvCoSubtreeDrainedEnd,
  bdrvDrainAllBegin,
  bdrvDrainAllEnd,
  bdrvDrainedBegin,
  bdrvDrainedEnd,
  bdrvSubtreeDrainedBegin,
  bdrvSubtreeDrainedEnd,
  qiovOf,
} from "./index.ts";
import {
  type DrainTest,
  guest,
  joinGuests,
  NO_SITE,
  READ_NS,
  runDrawn,
  sleepMain,
} from "./test-support.ts";

type Kind = "drain" | "subtree" | "all";

function begin(kind: Kind, bs: BlockDriverState): Polls<void> {
  if (kind === "drain") return bdrvDrainedBegin(bs, NO_SITE);
  return kind === "subtree" ? bdrvSubtreeDrainedBegin(bs, NO_SITE) : bdrvDrainAllBegin(NO_SITE);
}

function end(kind: Kind, bs: BlockDriverState): Polls<void> {
  if (kind === "drain") return bdrvDrainedEnd(bs, NO_SITE);
  return kind === "subtree" ? bdrvSubtreeDrainedEnd(bs, NO_SITE) : bdrvDrainAllEnd(NO_SITE);
}

const CHAIN = "top -backing-> base";

/** The counters of the chain inside each kind of drain of `top`, with a BlockBackend above it. */
const INSIDE: Readonly<Record<Kind, string>> = {
  drain: "base 0/0/0, top 1/0/1, blk1 1",
  subtree: "base 1/1/1, top 1/1/1, blk1 1",
  all: "base 1/0/1, top 1/0/1, blk1 1",
};
const OUTSIDE = "base 0/0/0, top 0/0/0, blk1 0";

describe("a drain", () => {
  it.each(["drain", "subtree", "all"] as const)(
    "(%s) raises what it reaches, has run the drivers' hooks when it returns, and undoes both",
    (kind) => {
      runDrawn(CHAIN, function* ({ node, counters }) {
        yield* blkNewWithBs(node("top"));
        yield* begin(kind, node("top"));
        expect(counters()).toBe(INSIDE[kind]);
        yield* end(kind, node("top"));
        expect(counters()).toBe(OUTSIDE);
      });
    },
  );

  it.each(["drain", "subtree", "all"] as const)(
    "(%s) returns after the request that was in flight",
    (kind) => {
      const { log, outcome } = runDrawn(CHAIN, function* ({ node, log }) {
        const blk = yield* blkNewWithBs(node("top"));
        blkAioPreadv(blk, 0, 512, qiovOf(hostAllocate(512)), (ret) => {
          log.push(`read=${ret}`);
          return undefined;
        });
        log.push("begin");
        yield* begin(kind, node("top"));
        log.push(`begun in_flight=${blk.inFlight}+${node("top").inFlight}`);
        yield* end(kind, node("top"));
      });
      expect(log).toBe("begin read=0 begun in_flight=0+0");
      expect(outcome).toBe("ok");
    },
  );

  it.each(["drain", "subtree", "all"] as const)(
    "(%s) from main waits for a request of an iothread",
    (kind) => {
      const { log, outcome } = runDrawn(CHAIN, function* ({ node, log }) {
        const blk = yield* blkNewWithBs(node("top"), { allowAioContextChange: true });
        const ctx = iothreadCreate("io");
        yield* blkSetAioContext(blk, ctx);
        const reader = guest(ctx, function* (): Co<void> {
          log.push(`read=${yield* blkCoPreadv(blk, 0, 512, qiovOf(hostAllocate(512)))}`);
        });
        yield* sleepMain(READ_NS / 2);
        expect(blk.inFlight).toBe(1);
        log.push("begin");
        yield* begin(kind, node("top"));
        log.push(`begun in_flight=${blk.inFlight}`);
        yield* end(kind, node("top"));
        yield* joinGuests(reader);
      });
      expect(log).toBe("begin read=0 begun in_flight=0");
      expect(outcome).toBe("ok");
    },
  );

  it("deletes nothing: a BlockBackend that dies inside takes its level along", () => {
    runDrawn(CHAIN, function* ({ node, counters }) {
      const blk = yield* blkNewWithBs(node("top"));
      yield* bdrvDrainedBegin(node("top"), NO_SITE);
      yield* blkUnref(blk);
      expect(counters()).toBe("base 0/0/0, top 1/0/1");
      yield* bdrvDrainedEnd(node("top"), NO_SITE);
      expect(counters()).toBe("base 0/0/0, top 0/0/0");
    });
  });

  it("that ends without having begun is QEMU's assertion", () => {
    const body = ({ node }: DrainTest): Polls<void> => bdrvDrainedEnd(node("a"), NO_SITE);
    const { assertion } = runDrawn("a", body, { ends: "assertion" });
    expect(assertion).toBe("bs->quiesce_counter > 0");
  });

  it("disables external events of the node's context from the first level to the last", () => {
    const { log } = runDrawn("a", function* ({ node, log }) {
      const disabled = () => log.push(String(node("a").aioContext.externalDisableCount));
      yield* bdrvDrainedBegin(node("a"), NO_SITE);
      disabled();
      yield* bdrvDrainedBegin(node("a"), NO_SITE);
      disabled();
      yield* bdrvDrainedEnd(node("a"), NO_SITE);
      disabled();
      yield* bdrvDrainedEnd(node("a"), NO_SITE);
      disabled();
    });
    expect(log).toBe("1 1 1 0");
  });
});

describe("drains nest", () => {
  const kinds = ["drain", "subtree", "all"] as const;
  const pairs = kinds.flatMap((outer) => kinds.map((inner) => ({ outer, inner })));

  it.each(pairs)("$inner in $outer", ({ outer, inner }) => {
    runDrawn(CHAIN, function* ({ node }) {
      const [top, base] = [node("top"), node("base")];
      const below = Number(outer !== "drain") + Number(inner !== "drain");
      yield* begin(outer, top);
      yield* begin(inner, top);
      expect([top.quiesceCounter, base.quiesceCounter]).toEqual([2, below]);
      yield* end(inner, top);
      expect([top.quiesceCounter, base.quiesceCounter]).toEqual([1, Number(outer !== "drain")]);
      yield* end(outer, top);
      expect([top.quiesceCounter, base.quiesceCounter]).toEqual([0, 0]);
    });
  });

  it("and a subtree drain of one parent drains the other, once for each", () => {
    runDrawn("a -x-> shared\nb -x-> shared", function* ({ node, counters }) {
      yield* bdrvSubtreeDrainedBegin(node("a"), NO_SITE);
      expect(counters()).toBe("shared 1/1/1, a 1/1/1, b 1/0/1");
      yield* bdrvSubtreeDrainedBegin(node("b"), NO_SITE);
      expect(counters()).toBe("shared 2/2/2, a 2/1/2, b 2/1/2");
      yield* bdrvSubtreeDrainedEnd(node("b"), NO_SITE);
      expect(counters()).toBe("shared 1/1/1, a 1/1/1, b 1/0/1");
      yield* bdrvSubtreeDrainedEnd(node("a"), NO_SITE);
      expect(counters()).toBe("shared 0/0/0, a 0/0/0, b 0/0/0");
    });
  });

  it("and a diamond is quiesced once for each path, but once alone by a drain of everything", () => {
    runDrawn(
      "top -x-> left -y-> right\nleft -z-> disk\nright -z-> disk",
      function* ({ node }): Polls<void> {
        yield* bdrvDrainedBegin(node("disk"), NO_SITE);
        expect(node("top").quiesceCounter).toBe(2);
        yield* bdrvDrainAllBegin(NO_SITE);
        expect(node("top").quiesceCounter).toBe(3);
        yield* bdrvDrainAllEnd(NO_SITE);
        yield* bdrvDrainedEnd(node("disk"), NO_SITE);
        expect(node("top").quiesceCounter).toBe(0);
      },
    );
  });
});

describe("a drain from a coroutine", () => {
  it.each([
    ["drain", bdrvCoDrainedBegin, bdrvCoDrainedEnd],
    ["subtree", bdrvCoSubtreeDrainedBegin, bdrvCoSubtreeDrainedEnd],
  ] as const)("(%s) does what one from thread level does", (kind, coBegin, coEnd) => {
    const { outcome } = runDrawn(CHAIN, function* ({ node, counters }) {
      yield* blkNewWithBs(node("top"));
      const drainer = guest(machine.mainContext, function* (): Co<void> {
        yield* coBegin(node("top"), NO_SITE);
        expect(counters()).toBe(INSIDE[kind]);
        yield* coEnd(node("top"), NO_SITE);
        expect(counters()).toBe(OUTSIDE);
      });
      yield* joinGuests(drainer);
    });
    expect(outcome).toBe("ok");
  });
});
