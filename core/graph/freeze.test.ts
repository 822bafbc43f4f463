// Frozen chains and op blockers: what they refuse, in QEMU's words, and that nothing has changed then.

import { describe, expect, it } from "vitest";
import { must } from "../base/index.ts";
import type { Polls } from "../sched/index.ts";
import {
  BLOCK_OP_TYPES,
  type BlockDriverState,
  bdrvFreezeBackingChain,
  bdrvIsBackingChainFrozen,
  bdrvOpBlock,
  bdrvOpBlockAll,
  bdrvOpBlockerIsEmpty,
  bdrvOpIsBlocked,
  bdrvOpUnblock,
  bdrvOpUnblockAll,
  bdrvReplaceNode,
  bdrvSetBackingHd,
  bdrvUnfreezeBackingChain,
  graphToText,
  settle,
} from "./index.ts";
import { runGraph } from "./test-support.ts";

//     top --backing--> f [filter] --file--> mid --backing--> base        alone
const CHAIN = "top -backing-> f\nf:filter -file-> mid\nmid -backing-> base\nalone";

/** What `body` is refused with; the graph is as before. Polls. */
function* refusalOf(body: () => Polls<unknown>): Polls<string> {
  const before = graphToText();
  const outcome = yield* settle(body);
  expect(graphToText()).toBe(before);
  return outcome.ok ? "" : outcome.error.message;
}

describe("freezing the chain between two nodes", () => {
  it("freezes filter and COW links alike, and thaws them", () => {
    runGraph(CHAIN, function* (node): Polls<void> {
      const [top, mid, base] = [node("top"), node("mid"), node("base")];
      expect(bdrvIsBackingChainFrozen(top, null)).toBeNull();
      bdrvFreezeBackingChain(top, base);
      expect(bdrvIsBackingChainFrozen(mid, null)?.message).toBe(
        "Cannot change 'backing' link from 'mid' to 'base'",
      );
      expect(bdrvIsBackingChainFrozen(node("f"), base)?.message).toBe(
        "Cannot change 'file' link from 'f' to 'mid'",
      );
      expect(bdrvIsBackingChainFrozen(base, null)).toBeNull();
      bdrvUnfreezeBackingChain(top, base);
      expect(bdrvIsBackingChainFrozen(top, null)).toBeNull();
    });
  });

  it("is refused as a whole when a link is frozen already", () => {
    runGraph(CHAIN, function* (node): Polls<void> {
      bdrvFreezeBackingChain(node("mid"), node("base"));
      const refusal = yield* refusalOf(function* (): Polls<void> {
        bdrvFreezeBackingChain(node("top"), null);
      });
      expect(refusal).toBe("Cannot change 'backing' link from 'mid' to 'base'");
      expect(node("top").rawBacking?.frozen).toBe(false);
      bdrvUnfreezeBackingChain(node("mid"), node("base"));
    });
  });

  it("is refused by a node that is never to be frozen (iotest 030, test_overlapping_4)", () => {
    runGraph(CHAIN, function* (node): Polls<void> {
      node("f").neverFreeze = true;
      const refusal = yield* refusalOf(function* (): Polls<void> {
        bdrvFreezeBackingChain(node("top"), null);
      });
      expect(refusal).toBe("Cannot freeze 'backing' link to 'f'");
      expect(bdrvIsBackingChainFrozen(node("top"), null)).toBeNull();
    });
  });

  it.each<[string, (node: (name: string) => BlockDriverState) => Polls<unknown>, string]>([
    [
      "a backing file is not exchanged",
      (node) => bdrvSetBackingHd(node("mid"), node("alone")),
      "Cannot change frozen 'backing' link from 'mid' to 'base'",
    ],
    [
      "a node is not replaced under its overlay",
      (node) => bdrvReplaceNode(node("base"), node("alone")),
      "Cannot change 'backing' link to 'base'",
    ],
  ])("behind a frozen link %s", (_what, attempt, text) => {
    runGraph(CHAIN, function* (node): Polls<void> {
      bdrvFreezeBackingChain(node("top"), null);
      expect(yield* refusalOf(() => attempt(node))).toBe(text);
      bdrvUnfreezeBackingChain(node("top"), null);
    });
  });
});

describe("op blockers", () => {
  it("tell the newest reason, and are taken away by the reason that was given", () => {
    runGraph("low", function* (node): Polls<void> {
      const low = node("low");
      const [first, second] = [{ message: "first" }, { message: "second" }];
      expect(bdrvOpIsBlocked(low, "resize")).toBeNull();
      bdrvOpBlock(low, "resize", first);
      bdrvOpBlockAll(low, second);
      expect(bdrvOpIsBlocked(low, "resize")?.message).toBe("Node 'low' is busy: second");
      bdrvOpUnblock(low, "eject", second);
      expect(bdrvOpIsBlocked(low, "eject")).toBeNull();
      bdrvOpUnblockAll(low, second);
      expect(bdrvOpIsBlocked(low, "resize")?.message).toBe("Node 'low' is busy: first");
      bdrvOpUnblockAll(low, { message: "first" });
      expect(bdrvOpBlockerIsEmpty(low)).toBe(false);
      bdrvOpUnblockAll(low, first);
      expect(bdrvOpBlockerIsEmpty(low)).toBe(true);
    });
  });

  it("an overlay blocks its backing file, but for commit, stream and backup, while it has it", () => {
    runGraph("top -backing-> base\nother", function* (node): Polls<void> {
      const base = node("base");
      const blocked = (): string[] =>
        BLOCK_OP_TYPES.filter((op) => bdrvOpIsBlocked(base, op) !== null);
      expect(BLOCK_OP_TYPES.filter((op) => !blocked().includes(op))).toEqual([
        "backup-source",
        "backup-target",
        "commit-target",
        "stream",
      ]);
      const refusal = must(bdrvOpIsBlocked(base, "mirror-source"), "mirroring is blocked");
      expect(refusal.message).toBe("Node 'base' is busy: node is used as backing hd of 'top'");
      yield* bdrvSetBackingHd(node("top"), node("other"));
      expect(blocked()).toEqual([]);
      expect(bdrvOpIsBlocked(node("other"), "eject")).not.toBeNull();
    });
  });
});
