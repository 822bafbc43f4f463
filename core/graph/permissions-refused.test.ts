// Edits that permissions refuse: with which words, and that nothing has changed then.

import { describe, expect, it } from "vitest";
import { type BlkOptions, type BlockBackend, blkNewWithBs } from "../backend/index.ts";
import { EINVAL, EPERM } from "../base/index.ts";
import type { Polls } from "../sched/index.ts";
import { graphToTextWithPerms } from "./graph-text.ts";
import {
  BDRV_CHILD_FILTERED,
  BDRV_CHILD_IMAGE,
  BDRV_CHILD_PRIMARY,
  BLK_PERM_ALL,
  type BlockDriver,
  BlockError,
  bdrvAddChild,
  bdrvAppend,
  bdrvAttachChild,
  bdrvDropFilter,
  bdrvInsertNode,
  bdrvListRefreshPerms,
  bdrvOpenDriver,
  bdrvRef,
  bdrvReplaceChildBs,
  bdrvReplaceNode,
  bdrvSetBackingHd,
  bdrvUnref,
  edgeOf,
  faultInjector,
  inTransaction,
} from "./index.ts";
import {
  ALONE,
  conflict,
  filterDriver,
  loneWriterDriver,
  type NodeOf,
  READER,
  refuses,
  runGraph,
  STILL,
  WRITER,
} from "./test-support.ts";

const FILTERED = BDRV_CHILD_FILTERED | BDRV_CHILD_PRIMARY;

function blkOver(node: NodeOf, name: string, options: BlkOptions = {}): Polls<BlockBackend> {
  return blkNewWithBs(node(name), options);
}

describe("an edit is refused", () => {
  it("bdrv_attach_child: two formats that both own the file", () => {
    runGraph("a:image -file-> disk\nb:image", function* (node): Polls<void> {
      yield* refuses(
        function* (): Polls<void> {
          bdrvRef(node("disk"));
          yield* bdrvAttachChild(node("b"), node("disk"), "file", BDRV_CHILD_IMAGE);
        },
        conflict("disk", "write, resize", "node 'a' as file", "node 'b' as file"),
        EINVAL,
      );
    });
  });

  it("bdrv_attach_child: a conflict deep below the edge", () => {
    //   blk(alone) -> disk <-file- f <- top
    runGraph("f:filter -file-> disk\ntop:filter", function* (node): Polls<void> {
      yield* blkOver(node, "disk", ALONE);
      yield* blkOver(node, "top", WRITER);
      yield* refuses(
        function* (): Polls<void> {
          bdrvRef(node("f"));
          yield* bdrvAttachChild(node("top"), node("f"), "file", FILTERED);
        },
        conflict("disk", "write", "node 'f' as file", "an unnamed block device as root"),
        EINVAL,
      );
    });
  });

  it("blk_insert_bs: a writer where a device lets nobody write", () => {
    runGraph("disk", function* (node): Polls<void> {
      yield* blkOver(node, "disk", { ...ALONE, name: "drive" });
      yield* refuses(
        () => blkOver(node, "disk", WRITER),
        conflict(
          "disk",
          "write",
          "an unnamed block device as root",
          "block device 'drive' as root",
        ),
        EPERM,
      );
    });
  });

  it("a writer of a read-only node", () => {
    runGraph("f:filter -file-> disk", function* (node): Polls<void> {
      node("disk").readOnly = true;
      yield* refuses(() => blkOver(node, "disk", WRITER), "Block node is read-only", EPERM);
      yield* refuses(() => blkOver(node, "f", WRITER), "Block node is read-only", EPERM);
      yield* blkOver(node, "f", READER);
    });
  });

  it("a reopen that makes a written node read-only, and one that makes it writable too late", () => {
    runGraph("disk\nother", function* (node): Polls<void> {
      yield* blkOver(node, "disk", WRITER);
      const [disk, other] = [node("disk"), node("other")];
      const refresh = (writable: boolean): Polls<void> =>
        inTransaction((tran) =>
          bdrvListRefreshPerms([other, disk], tran, new Map([[disk, writable]])),
        );
      yield* refuses(
        () => refresh(false),
        "Read-only block node 'disk' cannot support read-write users",
        EPERM,
      );
      disk.readOnly = true;
      yield* refresh(true);
      yield* refuses(() => refresh(false), "Block node is read-only", EPERM);
      disk.readOnly = false;
    });
  });

  it("a writer of an inactive node", () => {
    runGraph("disk", function* (node): Polls<void> {
      node("disk").inactive = true;
      yield* refuses(() => blkOver(node, "disk", WRITER), "Block node is read-only", EPERM);
      yield* blkOver(node, "disk", READER);
    });
  });

  it("writing without resizing, where the last block is not whole", () => {
    runGraph("disk", function* (node): Polls<void> {
      const disk = node("disk");
      disk.totalBytes = 1536;
      disk.requestAlignment = 1024;
      yield* refuses(
        () => blkOver(node, "disk", WRITER),
        "Cannot get 'write' permission without 'resize': Image size is not a multiple of request alignment",
        EPERM,
      );
      yield* blkOver(node, "disk");
    });
  });

  it("bdrv_append: a filter that writes alone, above a node that somebody else writes to", () => {
    //   blk(writes) -> disk <-file- base <-backing- lone
    runGraph("base:filter -file-> disk\nlone:lone", function* (node): Polls<void> {
      yield* blkOver(node, "disk", WRITER);
      yield* refuses(
        () => bdrvAppend(node("lone"), node("base")),
        conflict("disk", "write", "an unnamed block device as root", "node 'base' as file"),
        EINVAL,
      );
    });
  });

  it("bdrv_set_backing_hd: a backing file that changes below a reader who does not expect it", () => {
    runGraph("top:image -backing-> old\nnew", function* (node): Polls<void> {
      yield* blkOver(node, "top", STILL);
      yield* blkOver(node, "new", { ...WRITER, name: "w" });
      yield* refuses(
        () => bdrvSetBackingHd(node("top"), node("new")),
        conflict("new", "write", "block device 'w' as root", "node 'top' as backing"),
        EINVAL,
      );
    });
  });

  it("bdrv_replace_node: a user of the replacement that does not share what comes", () => {
    runGraph("a:filter -file-> old\nb:filter -file-> old\nnew", function* (node): Polls<void> {
      yield* blkOver(node, "a", WRITER);
      yield* blkOver(node, "b", WRITER);
      yield* blkOver(node, "new", { ...STILL, name: "still" });
      yield* refuses(
        () => bdrvReplaceNode(node("old"), node("new")),
        conflict("new", "write", "node 'a' as file", "block device 'still' as root"),
        EINVAL,
      );
    });
  });

  it("bdrv_replace_child_bs: the same behind one edge", () => {
    runGraph("a:filter -file-> old\nnew", function* (node, graph): Polls<void> {
      yield* blkOver(node, "a", WRITER);
      yield* blkOver(node, "new", { ...STILL, name: "still" });
      yield* refuses(
        () => bdrvReplaceChildBs(edgeOf(graph, "a", "file"), node("new")),
        conflict("new", "write", "node 'a' as file", "block device 'still' as root"),
        EINVAL,
      );
    });
  });

  it("bdrv_drop_filter: a filter that kept writers apart", () => {
    //   blk(writes) -> wall -backing-> disk <- blk(still)        the wall asks nothing of the disk
    runGraph("disk", function* (node): Polls<void> {
      const wall: BlockDriver = {
        formatName: "wall",
        isFilter: true,
        filteredChildIsBacking: true,
        childPerm: () => ({ perm: 0, sharedPerm: BLK_PERM_ALL }),
      };
      yield* blkOver(node, "disk", { ...STILL, name: "still" });
      bdrvRef(node("disk"));
      const bs = yield* bdrvOpenDriver(wall, "wall", {
        children: [{ name: "backing", role: FILTERED, bs: node("disk") }],
      });
      yield* blkNewWithBs(bs, { ...WRITER, name: "w" });
      yield* refuses(
        () => bdrvDropFilter(bs),
        conflict("disk", "write", "block device 'w' as root", "block device 'still' as root"),
        EINVAL,
      );
      yield* bdrvUnref(bs);
    });
  });

  it("bdrv_insert_node: a filter that writes alone, where somebody writes who stays below", () => {
    runGraph("user:filter -file-> base", function* (node): Polls<void> {
      yield* blkOver(node, "user", WRITER);
      yield* refuses(
        () => bdrvInsertNode(node("base"), loneWriterDriver, "lone"),
        `Could not create node: ${conflict("base", "write", "node 'user' as file", "node 'lone' as backing")}`,
        EINVAL,
      );
    });
  });

  it("bdrv_insert_node: a frozen edge that would have to move", () => {
    runGraph("user -file-> base", function* (node, graph): Polls<void> {
      edgeOf(graph, "user", "file").frozen = true;
      yield* refuses(
        () => bdrvInsertNode(node("base"), filterDriver, "f"),
        "Could not replace node: Cannot change 'file' link to 'base'",
        EPERM,
      );
      edgeOf(graph, "user", "file").frozen = false;
    });
  });

  it("bdrv_add_child: a child that cannot be written, for a node that is", () => {
    runGraph("q:quorum -children.0-> a\nb", function* (node): Polls<void> {
      yield* blkOver(node, "q", WRITER);
      node("b").readOnly = true;
      yield* refuses(() => bdrvAddChild(node("q"), node("b")), "Block node is read-only", EPERM);
    });
  });

  it("wherever else its transaction fails: permissions go back as they were", () => {
    runGraph("top:image -backing-> old\nnew:filter -file-> disk", function* (node): Polls<void> {
      yield* blkOver(node, "top", WRITER);
      const faults = faultInjector();
      faults.reached = (where) => {
        if (where === "tran_finalize") throw new BlockError(EINVAL, "injected");
      };
      yield* refuses(() => bdrvSetBackingHd(node("top"), node("new")), "injected");
      yield* refuses(() => bdrvReplaceNode(node("top"), node("new")), "injected");
      faults.reached = null;
      yield* bdrvSetBackingHd(node("top"), node("new"));
      expect(graphToTextWithPerms([node("new")])).toBe("new -file{r/rwus}-> disk");
    });
  });
});
