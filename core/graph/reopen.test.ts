// Reopening nodes: which are brought along, what is refused in QEMU's words, and that a refusal at any step changes nothing.
//
//      top --backing--> mid [made by top's options] --backing--> base          other [a node of its own]

import { describe, expect, it } from "vitest";
import { EPERM, must } from "../base/index.ts";
import { bdrvSubtreeDrainedBegin, bdrvSubtreeDrainedEnd } from "../io/index.ts";
import { blockLayerToText } from "../jobs/index.ts";
import type { PatchNumber, Polls } from "../sched/index.ts";
import type { BlockOptions, ReopenState } from "./block-options.ts";
import {
  BDRV_CHILD_COW,
  BDRV_CHILD_IMAGE,
  type BlockDriver,
  type BlockDriverState,
  BlockError,
  bdrvFreezeBackingChain,
  bdrvOpenDriver,
  bdrvRef,
  bdrvReopen,
  bdrvReopenMultiple,
  bdrvReopenQueue,
  bdrvReopenSetReadOnly,
  bdrvUnfreezeBackingChain,
  faultInjector,
  qmpBlockdevReopen,
  settle,
} from "./index.ts";
import { filterDriver, formatDriver, runGraph } from "./test-support.ts";

const NO_SITE = 0 as never;

/** What the drivers were told, in order. */
const calls: string[] = [];

function told(hook: string): (state: ReopenState) => undefined {
  return ({ bs }) => void calls.push(`${hook} ${bs.nodeName}`) as undefined;
}

/** Takes a backing file and a file; its option `mode` can be changed and reset, `size` only changed, and not to "bad". */
const driver: BlockDriver = {
  ...formatDriver,
  formatName: "test",
  mutableOptions: ["mode"],
  reopenPrepare: (state) => {
    calls.push(`prepare ${state.bs.nodeName}`);
    const { mode: _mode, size, ...remaining } = state.remaining;
    if (size === "bad") throw new BlockError(EPERM, "This size cannot be");
    state.remaining = remaining;
  },
  reopenCommit: told("commit"),
  reopenCommitPost: told("post"),
  reopenAbort: told("abort"),
};

interface Nodes {
  readonly top: BlockDriverState;
  readonly mid: BlockDriverState;
  readonly base: BlockDriverState;
  readonly other: BlockDriverState;
}

function* open(name: string, children: Record<string, BlockDriverState>): Polls<BlockDriverState> {
  const specs = Object.entries(children).map(([edge, bs]) => {
    bdrvRef(bs);
    const role = edge === "backing" ? BDRV_CHILD_COW : BDRV_CHILD_IMAGE;
    return { name: edge, role, bs, inherits: bs.nodeName === "mid" };
  });
  const options = { totalBytes: 0, children: specs, options: { size: 1 } };
  return yield* bdrvOpenDriver(driver, name, options);
}

/** Run `body` on the graph of the file comment. */
function runChain(
  body: (nodes: Nodes) => Polls<void>,
  options: { without?: PatchNumber[] } = {},
): string[] {
  calls.length = 0;
  const run = function* (): Polls<void> {
    const base = yield* open("base", {});
    const mid = yield* open("mid", { backing: base });
    const top = yield* open("top", { backing: mid });
    const other = yield* open("other", {});
    yield* body({ top, mid, base, other });
  };
  runGraph("unused", run, options);
  return calls;
}

/** Reopen `bs` alone; what it is refused with, "" when it is not. After a refusal the graph is as before. Polls. */
function* attempt(bs: BlockDriverState, options: BlockOptions, keep = true): Polls<string> {
  const before = blockLayerToText();
  const outcome = yield* settle(() => bdrvReopen(bs, options, keep));
  if (outcome.ok) return "";
  expect(blockLayerToText()).toBe(before);
  return outcome.error.message;
}

describe("the queue of a reopen", () => {
  it("brings along the children that the node's options made, and no others", () => {
    runChain(function* ({ top }): Polls<void> {
      yield* bdrvSubtreeDrainedBegin(top, NO_SITE);
      const queue = bdrvReopenQueue(null, top, { "backing.mode": 2, mode: 1 }, true);
      const names = queue.entries.map(({ state }) => [state.bs.nodeName, state.options.mode]);
      expect(names).toEqual([
        ["top", 1],
        ["mid", 2],
      ]);
      yield* bdrvReopenMultiple(queue);
      yield* bdrvSubtreeDrainedEnd(top, NO_SITE);
    });
  });

  it("takes an option from what is given, then what was, then the parent; a backing file is read-only", () => {
    runChain(function* ({ top, mid }): Polls<void> {
      yield* bdrvReopen(top, { "read-only": true, "backing.read-only": false }, true);
      expect([top.readOnly, mid.readOnly]).toEqual([true, false]);
      yield* bdrvReopen(top, { "read-only": "off" }, true);
      expect([top.readOnly, mid.readOnly]).toEqual([false, false]);
      expect(mid.explicitOptions["read-only"]).toBe(false);
    });
  });

  it("a node that is queued twice has the options of both, and is reopened once", () => {
    const log = runChain(function* ({ top, mid }): Polls<void> {
      yield* bdrvSubtreeDrainedBegin(top, NO_SITE);
      const queue = bdrvReopenQueue(null, mid, { mode: 1 }, true);
      bdrvReopenQueue(queue, top, { "backing.size": 7 }, true);
      yield* bdrvReopenMultiple(queue);
      yield* bdrvSubtreeDrainedEnd(top, NO_SITE);
      expect(mid.options).toMatchObject({ mode: 1, size: 7 });
    });
    expect(log.filter((line) => line === "commit mid")).toHaveLength(1);
  });
});

describe("reopening", () => {
  it("prepares parents first and commits children first, as qcow2 wants it", () => {
    const log = runChain(({ top }) => bdrvReopen(top, {}, true));
    expect(log).toEqual([
      "prepare top",
      "prepare mid",
      "commit mid",
      "commit top",
      "post mid",
      "post top",
    ]);
  });

  it("aborts in the order of preparing, and only what was prepared", () => {
    const log = runChain(function* ({ top }): Polls<void> {
      expect(yield* attempt(top, { "backing.size": "bad" })).toBe("This size cannot be");
    });
    expect(log).toEqual(["prepare top", "prepare mid", "abort top"]);
  });

  it("exchanges the backing file, and forgets that it was made by this node's options", () => {
    runChain(function* ({ top, mid, base, other }): Polls<void> {
      yield* bdrvReopen(top, { backing: "other" }, true);
      expect(top.rawBacking?.rawBs).toBe(other);
      expect(mid.inheritsFrom).toBeNull();
      expect(top.options).not.toHaveProperty("backing");
      yield* bdrvReopen(top, { backing: null }, true);
      expect(top.rawBacking).toBeNull();
      expect([mid.refcnt, base.refcnt, other.refcnt]).toEqual([1, 2, 1]);
    });
  });

  it("keeps the link that options make when what was between the two is left out", () => {
    runChain(function* ({ top, mid, base }): Polls<void> {
      base.inheritsFrom = mid;
      yield* bdrvReopen(top, { backing: "base" }, true);
      expect(base.inheritsFrom).toBe(top);
      expect(mid.inheritsFrom).toBeNull();
    });
  });

  it("names the present child, which stays, with its own options as they were", () => {
    const log = runChain(function* ({ top, mid }): Polls<void> {
      const options = { driver: "test", "node-name": "top", size: 1, backing: "mid" };
      yield* bdrvReopen(top, options, false);
      expect(top.rawBacking?.rawBs).toBe(mid);
    });
    expect(log).toContain("commit mid");
  });

  it("looks through filters that nobody asked for", () => {
    runChain(function* ({ top, mid }): Polls<void> {
      const filter = yield* bdrvOpenDriver(filterDriver, "hidden", {
        totalBytes: 0,
        children: [{ name: "file", role: 20, bs: mid }],
      });
      bdrvRef(mid);
      filter.implicit = true;
      yield* bdrvReopen(top, { backing: "hidden" }, true);
      yield* bdrvReopen(top, { backing: "mid" }, true);
      expect(top.rawBacking?.rawBs).toBe(filter);
      expect(yield* attempt(top, { backing: "other" })).toBe(
        "Cannot replace implicit backing child of top",
      );
    });
  });

  it("switches a node to read-only and back, and asks its parents", () => {
    runChain(function* ({ other }): Polls<void> {
      yield* bdrvReopenSetReadOnly(other, true);
      expect(other.readOnly).toBe(true);
      yield* bdrvReopenSetReadOnly(other, false);
      expect(other.readOnly).toBe(false);
    });
  });

  it("does not make a node read-only that writes what is read from its backing file", () => {
    runChain(function* ({ top }): Polls<void> {
      top.copyOnRead++;
      expect(yield* attempt(top, { "read-only": true }, true)).toBe(
        "Can't set node 'top' to r/o with copy-on-read enabled",
      );
      expect(top.readOnly).toBe(false);
      top.copyOnRead--;
    });
  });

  it.each<[BlockOptions, boolean, string]>([
    [{ backing: "nobody" }, true, "Cannot find device='' nor node-name='nobody'"],
    [{ backing: "top" }, true, "Making 'top' a backing child of 'top' would create a cycle"],
    [{ file: "other" }, true, "Cannot set file child to format node without file child"],
    [{ driver: "qcow2" }, true, "Cannot change the option 'driver'"],
    [{ "node-name": "x" }, true, "Cannot change the option 'node-name'"],
    [{ "backing.foo": 1 }, true, "Cannot change the option 'foo'"],
    [{ "file.foo": 1 }, true, "Cannot change the option 'file.foo'"],
    [
      { driver: "test", backing: null },
      false,
      "Option 'size' cannot be reset to its default value",
    ],
    [{ driver: "test", size: 1 }, false, "backing is missing for 'top'"],
    [{ size: 1, backing: null }, false, "Option 'driver' cannot be reset to its default value"],
    [
      { driver: "test", size: 1, "backing.driver": "test" },
      false,
      "Option 'size' cannot be reset to its default value",
    ],
  ])("%o (old options kept: %s) is refused: %s", (options, keep, text) => {
    runChain(function* ({ top }): Polls<void> {
      expect(yield* attempt(top, options, keep)).toBe(text);
    });
  });

  it("a frozen link and a driver without the hooks refuse", () => {
    runGraph("top -backing-> base\nother\nf:filter -file-> disk", function* (node): Polls<void> {
      expect(yield* attempt(node("top"), { backing: "other" })).toBe(
        "Block format 'format' used by node 'top' does not support reopening files",
      );
    });
    runChain(function* ({ top, mid }): Polls<void> {
      bdrvFreezeBackingChain(top, mid);
      expect(yield* attempt(top, { backing: "other" })).toBe(
        "Cannot change frozen 'backing' link from 'top' to 'mid'",
      );
      bdrvUnfreezeBackingChain(top, mid);
    });
  });

  it("blockdev-reopen takes several nodes, all or none", () => {
    runChain(function* ({ top, other }): Polls<void> {
      const forTop = { "node-name": "top", driver: "test", size: 1, backing: "mid", mode: 5 };
      const forOther = { "node-name": "other", driver: "test", size: 1, mode: 6 };
      const refusalOf = function* (list: BlockOptions[]): Polls<string> {
        const before = blockLayerToText();
        const outcome = yield* settle(() => qmpBlockdevReopen(list));
        expect(blockLayerToText()).toBe(before);
        return outcome.ok ? "" : outcome.error.message;
      };
      expect(yield* refusalOf([forTop, { ...forOther, size: "bad" }])).toBe("This size cannot be");
      expect(yield* refusalOf([forTop, {}])).toBe("node-name not specified");
      expect(yield* refusalOf([{ "node-name": "x" }])).toBe(
        "Failed to find node with node-name='x'",
      );
      yield* qmpBlockdevReopen([forTop, forOther]);
      expect([top.options.mode, other.options.mode]).toEqual([5, 6]);
    });
  });
});

describe("a reopen that fails at any step", () => {
  it.each<{ without: PatchNumber[] }>([{ without: [] }, { without: [8] }, { without: [7, 8] }])(
    "leaves the graph as it was, without patches $without",
    ({ without }) => {
      const where: string[] = [];
      runChain(
        function* ({ top, other }): Polls<void> {
          for (let step = 1; ; step++) {
            let left = step;
            faultInjector().reached = (name) => {
              if (--left !== 0) return;
              where.push(name);
              throw new BlockError(EPERM, "injected");
            };
            const refusal = yield* attempt(top, { backing: "other", "read-only": true });
            faultInjector().reached = null;
            if (refusal === "") break;
            expect(refusal).toBe("injected");
          }
          expect(must(top.rawBacking, "the last attempt succeeds").rawBs).toBe(other);
        },
        { without },
      );
      expect(where).toEqual([
        "bdrv_replace_child_tran",
        "bdrv_remove_child",
        "bdrv_attach_child_common",
        "bdrv_attach_child_noperm",
        "bdrv_reopen_parse_file_or_backing",
        "bdrv_reopen_prepare",
        "bdrv_list_refresh_perms",
      ]);
    },
  );
});
