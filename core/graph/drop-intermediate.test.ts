// Dropping nodes of a chain: who writes what down, what is refused, and that a refusal before the names changes nothing.
//
//      active --backing--> top --backing--> mid --backing--> base          alone

import { describe, expect, it } from "vitest";
import { blockLayerToText } from "../jobs/index.ts";
import type { Polls } from "../sched/index.ts";
import {
  bdrvDropIntermediate,
  bdrvFreezeBackingChain,
  bdrvOpenDriver,
  bdrvSetBackingHd,
  bdrvUnfreezeBackingChain,
  settle,
} from "./index.ts";
import { formatDriver, runGraph } from "./test-support.ts";

const CHAIN = "top -backing-> mid\nmid -backing-> base\nalone";

const named = {
  ...formatDriver,
  *changeBackingFile(): Polls<number> {
    return 0;
  },
};

describe("bdrv_drop_intermediate", () => {
  it("gives the parents of the top to the base, and the image names it", () => {
    runGraph(CHAIN, function* (node): Polls<void> {
      const active = yield* bdrvOpenDriver(named, "active", { totalBytes: 0 });
      yield* bdrvSetBackingHd(active, node("top"));
      node("mid").inheritsFrom = node("top");
      node("base").inheritsFrom = node("mid");
      node("top").inheritsFrom = active;
      yield* bdrvDropIntermediate(node("top"), node("base"), "base.img");
      expect(active.rawBacking?.rawBs).toBe(node("base"));
      expect(active.backingFile).toBe("base.img");
      expect(node("base").inheritsFrom).toBe(active);
    });
  });

  it("says so when the image has no place for a name, and nothing has changed", () => {
    runGraph(`active -backing-> top\n${CHAIN}`, function* (node): Polls<void> {
      const before = blockLayerToText();
      const outcome = yield* settle(() => bdrvDropIntermediate(node("top"), node("base")));
      expect(outcome).toMatchObject({
        error: { message: "Could not update backing file link: Operation not supported" },
      });
      expect(blockLayerToText()).toBe(before);
    });
  });

  it("writes the old name back into the images before the one that has no place for it", () => {
    runGraph(`mute\n${CHAIN}`, function* (node): Polls<void> {
      const names: string[] = [];
      const noting = {
        ...formatDriver,
        *reopenPrepare(): Polls<void> {},
        *changeBackingFile(_bs: unknown, name: string): Polls<number> {
          names.push(name);
          return 0;
        },
      };
      const overlay = yield* bdrvOpenDriver(noting, "overlay", { totalBytes: 0, readOnly: true });
      yield* bdrvSetBackingHd(overlay, node("top"));
      yield* bdrvSetBackingHd(node("mute"), node("top"));
      overlay.backingFile = "top.img";
      const before = blockLayerToText();
      const outcome = yield* settle(() => bdrvDropIntermediate(node("top"), node("base"), "b.img"));
      expect(outcome).toMatchObject({
        error: { message: "Could not update backing file link: Operation not supported" },
      });
      expect(names).toEqual(["b.img", "top.img"]);
      expect(blockLayerToText()).toBe(before);
    });
  });

  it("refuses a base that is not below, and a frozen link, and nothing has changed", () => {
    runGraph(`active -backing-> top\n${CHAIN}`, function* (node): Polls<void> {
      const active = node("active");
      bdrvFreezeBackingChain(active, node("top"));
      const before = blockLayerToText();
      const notBelow = yield* settle(() => bdrvDropIntermediate(node("top"), node("alone")));
      expect(notBelow).toMatchObject({
        error: { message: "'alone' is not in the backing chain of 'top'" },
      });
      const frozen = yield* settle(() => bdrvDropIntermediate(node("top"), node("base")));
      expect(frozen).toMatchObject({ error: { message: "Cannot change 'backing' link to 'top'" } });
      expect(blockLayerToText()).toBe(before);
      bdrvUnfreezeBackingChain(active, node("top"));
    });
  });
});
