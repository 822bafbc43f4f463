// What the graph, a reopen and contexts refuse: QEMU's text, its errno, and that nothing has changed, in tables. `runRefusal` compares the whole block layer
// before and after (blockLayerToText). That no text is left out is tested in core/jobs/refusals.test.ts.

import { describe, expect, it } from "vitest";
import {
  type BlkOptions,
  type BlockBackend,
  blkAttachDev,
  blkNewWithBs,
} from "../backend/index.ts";
import { EBUSY, EINVAL, EIO, ENOMEDIUM, ENOTSUP, EPERM } from "../base/index.ts";
import { type BlockJob, type BlockJobDriver, blockJobCreate, jobEarlyFail } from "../jobs/index.ts";
import { type Co, iothreadCreate, iothreadStopJoin, type Polls } from "../sched/index.ts";
import {
  BDRV_CHILD_DATA,
  type BlockDriver,
  type BlockDriverState,
  bdrvActivate,
  bdrvAddChild,
  bdrvAttachChild,
  bdrvDelChild,
  bdrvDropIntermediate,
  bdrvFindNode,
  bdrvFreezeBackingChain,
  bdrvInactivateAll,
  bdrvIsBackingChainFrozen,
  bdrvOpBlock,
  bdrvOpenDriver,
  bdrvOpIsBlocked,
  bdrvRef,
  bdrvReopen,
  bdrvReplaceNode,
  bdrvSetBackingHd,
  bdrvSetFileOrBackingNoperm,
  bdrvTryChangeAioContext,
  bdrvUnfreezeBackingChain,
  bdrvUnref,
  childOfBds,
  edgeOf,
  inTransaction,
  qmpBlockdevReopen,
} from "./index.ts";
import {
  ALONE,
  CHAIN,
  conflict,
  filterDriver,
  formatDriver,
  plainDriver,
  READER,
  type RefusalRow,
  runRefusal,
  straight,
  WRITER,
} from "./test-support.ts";

function* driveOn(bs: BlockDriverState, options: BlkOptions = {}): Polls<BlockBackend> {
  return yield* blkNewWithBs(bs, { name: "drive", ...READER, ...options });
}

const IDLE: BlockJobDriver = {
  jobType: "stream",
  *coRun(): Co<number> {
    return 0;
  },
};

/** A job that was made on `bs`, and not started. */
function jobOn(bs: BlockDriverState): Polls<BlockJob> {
  return blockJobCreate("job0", IDLE, bs, READER);
}

const GRAPH: readonly RefusalRow[] = [
  {
    c: "bdrv_attach_child_noperm",
    text: "Making 'top' a x child of 'base' would create a cycle",
    errno: EINVAL,
    graph: CHAIN,
    *body(node, refused): Polls<void> {
      yield* refused(function* (): Polls<void> {
        bdrvRef(node("top"));
        yield* bdrvAttachChild(node("base"), node("top"), "x", BDRV_CHILD_DATA);
      });
    },
  },
  {
    c: "bdrv_set_file_or_backing_noperm",
    text: "Cannot change frozen 'backing' link from 'top' to 'mid'",
    errno: EPERM,
    graph: CHAIN,
    *body(node, refused): Polls<void> {
      bdrvFreezeBackingChain(node("top"), node("mid"));
      yield* refused(() => bdrvSetBackingHd(node("top"), node("other")));
      bdrvUnfreezeBackingChain(node("top"), node("mid"));
    },
  },
  {
    c: "bdrv_set_file_or_backing_noperm",
    text: "Driver 'plain' of node 'plain' does not support backing files",
    errno: EINVAL,
    graph: CHAIN,
    *body(node, refused): Polls<void> {
      yield* refused(() => bdrvSetBackingHd(node("plain"), node("base")));
    },
  },
  {
    c: "bdrv_set_file_or_backing_noperm",
    text: "Cannot set file child to format node without file child",
    errno: EINVAL,
    graph: CHAIN,
    *body(node, refused): Polls<void> {
      yield* refused(() =>
        inTransaction((tran) =>
          bdrvSetFileOrBackingNoperm(node("top"), node("other"), false, tran),
        ),
      );
    },
  },
  {
    c: "bdrv_replace_node_noperm",
    text: "Cannot change 'backing' link to 'mid'",
    errno: EPERM,
    graph: CHAIN,
    *body(node, refused): Polls<void> {
      bdrvFreezeBackingChain(node("top"), node("mid"));
      yield* refused(() => bdrvReplaceNode(node("mid"), node("other")));
      bdrvUnfreezeBackingChain(node("top"), node("mid"));
    },
  },
  {
    c: "bdrv_replace_node_noperm",
    text: "Should not change 'main node' link to 'mid'",
    errno: EINVAL,
    graph: CHAIN,
    *body(node, refused): Polls<void> {
      const { job } = yield* jobOn(node("mid"));
      yield* refused(() => bdrvDropIntermediate(node("mid"), node("base")));
      yield* jobEarlyFail(job);
    },
  },
  {
    c: "bdrv_drop_intermediate",
    text: "'other' is not in the backing chain of 'top'",
    errno: EIO,
    graph: CHAIN,
    *body(node, refused): Polls<void> {
      yield* refused(() => bdrvDropIntermediate(node("top"), node("other")));
    },
  },
  {
    c: "bdrv_is_backing_chain_frozen",
    text: "Cannot change 'backing' link from 'mid' to 'base'",
    errno: EPERM,
    graph: CHAIN,
    *body(node, refused): Polls<void> {
      bdrvFreezeBackingChain(node("mid"), node("base"));
      expect(bdrvIsBackingChainFrozen(node("top"), node("base"))).not.toBeNull();
      yield* refused(() => straight(() => bdrvFreezeBackingChain(node("top"), node("base"))));
      bdrvUnfreezeBackingChain(node("mid"), node("base"));
    },
  },
  {
    c: "bdrv_freeze_backing_chain",
    text: "Cannot freeze 'backing' link to 'base'",
    errno: EPERM,
    graph: CHAIN,
    *body(node, refused): Polls<void> {
      node("base").neverFreeze = true;
      yield* refused(() => straight(() => bdrvFreezeBackingChain(node("top"), node("base"))));
    },
  },
  {
    c: "bdrv_assign_node_name",
    text: "Duplicate nodes with node-name='top'",
    errno: EINVAL,
    graph: CHAIN,
    *body(_node, refused): Polls<void> {
      yield* refused(() => bdrvOpenDriver(formatDriver, "top"));
    },
  },
  {
    c: "bdrv_assign_node_name",
    text: "Invalid node-name: '1st'",
    errno: EINVAL,
    graph: CHAIN,
    *body(_node, refused): Polls<void> {
      yield* refused(() => bdrvOpenDriver(formatDriver, "1st"));
    },
  },
  {
    c: "bdrv_assign_node_name",
    text: "Node name too long",
    errno: EINVAL,
    graph: CHAIN,
    *body(_node, refused): Polls<void> {
      const most = "n".repeat(31);
      yield* bdrvUnref(yield* bdrvOpenDriver(plainDriver, most));
      yield* refused(() => bdrvOpenDriver(plainDriver, `${most}n`));
    },
  },
  {
    c: "bdrv_open_driver",
    text: "Could not refresh total sector count: Input/output error",
    errno: EIO,
    graph: CHAIN,
    *body(_node, refused): Polls<void> {
      yield* refused(() => bdrvOpenDriver({ ...plainDriver, getlength: () => -EIO }, "new"));
    },
  },
  {
    c: "qmp_blockdev_reopen",
    text: "Failed to find node with node-name='nobody'",
    errno: EINVAL,
    graph: CHAIN,
    *body(_node, refused): Polls<void> {
      yield* refused(() => qmpBlockdevReopen([{ "node-name": "nobody" }]));
      expect(bdrvFindNode("nobody")).toBeNull();
    },
  },
  {
    c: "bdrv_add_child",
    text: "The node top does not support adding a child",
    errno: ENOTSUP,
    graph: CHAIN,
    *body(node, refused): Polls<void> {
      yield* refused(() => bdrvAddChild(node("top"), node("other")));
    },
  },
  {
    c: "bdrv_add_child",
    text: "The node a already has a parent",
    errno: EINVAL,
    graph: "q:quorum -children.0-> a",
    *body(node, refused): Polls<void> {
      yield* refused(() => bdrvAddChild(node("q"), node("a")));
    },
  },
  {
    c: "bdrv_del_child",
    text: "The node top does not support removing a child",
    errno: ENOTSUP,
    graph: CHAIN,
    *body(node, refused, graph): Polls<void> {
      yield* refused(() => bdrvDelChild(node("top"), edgeOf(graph, "top", "backing")));
    },
  },
  {
    c: "bdrv_del_child",
    text: "The node q does not have a child named x",
    errno: EINVAL,
    graph: "q:quorum -children.0-> a\nother -x-> a",
    *body(node, refused, graph): Polls<void> {
      yield* refused(() => bdrvDelChild(node("q"), edgeOf(graph, "other", "x")));
    },
  },
  {
    c: "quorum_del_child",
    text: "The number of children cannot be lower than the vote threshold 1",
    errno: EINVAL,
    graph: "q:quorum -children.0-> a",
    *body(node, refused, graph): Polls<void> {
      yield* refused(() => bdrvDelChild(node("q"), edgeOf(graph, "q", "children.0")));
    },
  },
  {
    c: "bdrv_op_is_blocked",
    text: "Node 'top' is busy: somebody is at work",
    errno: EBUSY,
    graph: CHAIN,
    *body(node, refused): Polls<void> {
      bdrvOpBlock(node("top"), "resize", { message: "somebody is at work" });
      yield* refused(() =>
        straight(() => {
          const refusal = bdrvOpIsBlocked(node("top"), "resize");
          if (refusal !== null) throw refusal;
        }),
      );
    },
  },
  {
    c: "bdrv_a_allow_b",
    text: conflict(
      "base",
      "write",
      "an unnamed block device as root",
      "block device 'drive' as root",
    ),
    errno: EPERM,
    graph: CHAIN,
    *body(node, refused): Polls<void> {
      yield* driveOn(node("base"), ALONE);
      yield* refused(() => blkNewWithBs(node("base"), WRITER));
    },
  },
];

/** Nodes of drivers that can be reopened, and that a flush may fail in. */
function* reopenable(driver: BlockDriver): Polls<BlockDriverState> {
  return yield* bdrvOpenDriver({ ...driver, reopenPrepare: () => undefined }, "reopened");
}

const REOPENS: readonly RefusalRow[] = [
  ...[
    {
      options: { discard: "ignore", "detect-zeroes": "unmap" },
      text: "setting detect-zeroes to unmap is not allowed without setting discard operation to unmap",
    },
    { options: { "detect-zeroes": "maybe" }, text: "Invalid parameter 'maybe'" },
  ].map(({ options, text }): RefusalRow => {
    return {
      c: "bdrv_parse_detect_zeroes",
      text,
      errno: EINVAL,
      graph: CHAIN,
      *body(_node, refused): Polls<void> {
        const bs = yield* reopenable({ ...plainDriver, getlength: () => 0 });
        yield* refused(() => bdrvReopen(bs, options, true));
        yield* bdrvUnref(bs);
      },
    };
  }),
  {
    c: "bdrv_reopen_parse_file_or_backing",
    text: "'reopened' is a filter filter node that does not support a backing child",
    errno: EINVAL,
    graph: CHAIN,
    *body(_node, refused): Polls<void> {
      const bs = yield* reopenable({ ...filterDriver, getlength: () => 0 });
      yield* refused(() => bdrvReopen(bs, { backing: "other" }, true));
      yield* bdrvUnref(bs);
    },
  },
  {
    c: "bdrv_reopen_prepare",
    text: "Error flushing drive: Input/output error",
    errno: EIO,
    graph: CHAIN,
    *body(_node, refused): Polls<void> {
      let fails = true;
      const bs = yield* reopenable({
        ...plainDriver,
        getlength: () => 0,
        *coFlushToOs(): Co<number> {
          return fails ? -EIO : 0;
        },
      });
      yield* refused(() => bdrvReopen(bs, { "read-only": true }, true));
      fails = false;
      yield* bdrvUnref(bs);
    },
  },
];

const CONTEXTS: readonly RefusalRow[] = [
  {
    c: "blk_root_change_aio_ctx",
    text: "Cannot change iothread of active block backend",
    errno: EPERM,
    graph: CHAIN,
    *body(node, refused): Polls<void> {
      const ctx = iothreadCreate("io0");
      const blk = yield* driveOn(node("base"));
      blkAttachDev(blk, { id: "dev" });
      yield* refused(() => bdrvTryChangeAioContext(node("top"), ctx, null));
      yield* iothreadStopJoin(ctx);
    },
  },
  {
    c: "bdrv_parent_change_aio_context",
    text: "Changing iothreads is not supported by node 'other'",
    errno: EPERM,
    graph: CHAIN,
    *body(node, refused): Polls<void> {
      const ctx = iothreadCreate("io0");
      const { changeAioContext: _, ...stays } = childOfBds;
      bdrvRef(node("base"));
      yield* bdrvAttachChild(node("other"), node("base"), "x", BDRV_CHILD_DATA, stays);
      yield* refused(() => bdrvTryChangeAioContext(node("top"), ctx, null));
      yield* iothreadStopJoin(ctx);
    },
  },
];

/** What the driver of an image answers. */
interface Answers {
  inactivate?: number;
  invalidate?: number;
  length?: number;
}

/** An image over the drawn node, whose driver fails as told. A hand-over begins at it, so that nothing comes before. */
function* imageOver(below: BlockDriverState, answers: Answers): Polls<BlockDriverState> {
  bdrvRef(below);
  const drv: BlockDriver = {
    ...plainDriver,
    getlength: () => answers.length ?? 4096,
    *inactivate(): Polls<number> {
      return answers.inactivate ?? 0;
    },
    *coInvalidateCache(): Co<number> {
      return answers.invalidate ?? 0;
    },
  };
  const children = [{ name: "file", role: BDRV_CHILD_DATA, bs: below }];
  return yield* bdrvOpenDriver(drv, "image", { children });
}

/** A row about an image that was handed over, and cannot be taken back. */
function ofActivate(c: string, text: string, errno: number, fail: Answers): RefusalRow {
  return {
    c,
    text,
    errno,
    graph: "base",
    *body(node, refused): Polls<void> {
      const answers: Answers = {};
      const bs = yield* imageOver(node("base"), answers);
      yield* bdrvInactivateAll();
      yield* bdrvActivate(node("base"));
      Object.assign(answers, fail);
      yield* refused(() => bdrvActivate(bs));
      for (const what of ["invalidate", "length"] as const) delete answers[what];
      yield* bdrvActivate(bs);
      yield* bdrvUnref(bs);
    },
  };
}

/**
 * QEMU gives an errno, and no text, where a node is closed, a driver fails or somebody must go on writing. A hand-over that
 * fails further down has handed over what is above, as in QEMU, until bdrv_activate_all takes it back (activate.test.ts).
 */
const HAND_OVERS: readonly RefusalRow[] = [
  ofActivate("bdrv_co_invalidate_cache", "Could not refresh 'image'", EINVAL, {
    invalidate: -EIO,
  }),
  ofActivate("bdrv_activate", "Could not refresh total sector count", EIO, { length: -EIO }),
  {
    c: "bdrv_inactivate_recurse",
    text: "Could not inactivate 'image'",
    errno: EIO,
    graph: "base",
    *body(node, refused): Polls<void> {
      const bs = yield* imageOver(node("base"), { inactivate: -EIO });
      yield* refused(bdrvInactivateAll);
      yield* bdrvUnref(bs);
    },
  },
  {
    c: "bdrv_inactivate_recurse",
    text: "Node 'plain' is closed",
    errno: ENOMEDIUM,
    graph: "plain:plain",
    *body(node, refused): Polls<void> {
      node("plain").closed = true;
      yield* refused(bdrvInactivateAll);
      node("plain").closed = false;
    },
  },
  {
    c: "bdrv_inactivate_recurse",
    text: "The parents of 'top' still need write access",
    errno: EPERM,
    graph: "top -backing-> base",
    *body(node, refused): Polls<void> {
      const { job } = yield* blockJobCreate("job0", IDLE, node("top"), WRITER);
      yield* refused(bdrvInactivateAll);
      yield* jobEarlyFail(job);
    },
  },
  {
    c: "blk_root_inactivate",
    text: "The block backend must go on writing",
    errno: EPERM,
    graph: CHAIN,
    *body(node, refused): Polls<void> {
      yield* blkNewWithBs(node("top"), WRITER);
      yield* refused(bdrvInactivateAll);
    },
  },
];

describe.each([
  ["the graph", GRAPH],
  ["a hand-over", HAND_OVERS],
  ["a reopen", REOPENS],
  ["contexts", CONTEXTS],
] as const)("what %s cannot do is refused, and nothing has changed:", (_of, rows) => {
  it.each(rows)("$c: $text", (row) => {
    expect(runRefusal(row)).toBeGreaterThan(0);
  });
});
