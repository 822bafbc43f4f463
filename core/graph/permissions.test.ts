// Permissions as graphs: what edges have after an edit, which edits are refused, with which words, and that nothing has changed
// then. `{rws/ru}` on an edge: it has read, write and size (resize), and shares read and write-unchanged.

import { describe, expect, it } from "vitest";
import { type BlkOptions, type BlockBackend, blkNewWithBs } from "../backend/index.ts";
import { EINVAL, EPERM } from "../base/index.ts";
import type { Polls } from "../sched/index.ts";
import { graphToTextWithPerms } from "./graph-text.ts";
import {
  assertPermissions,
  BDRV_CHILD_COW,
  BDRV_CHILD_DATA,
  BDRV_CHILD_FILTERED,
  BDRV_CHILD_IMAGE,
  BDRV_CHILD_PRIMARY,
  BLK_PERM_ALL,
  BLK_PERM_WRITE,
  BLK_PERM_WRITE_UNCHANGED,
  type BlockDriver,
  BlockError,
  bdrvAllStates,
  bdrvAttachChild,
  bdrvChildRefreshPerms,
  bdrvChildTrySetPerm,
  bdrvOpenDriver,
  bdrvRef,
  bdrvRefreshPerms,
  bdrvReplaceChildBs,
  bdrvSetBackingHd,
  bdrvTopologicalDfs,
  bdrvUnref,
  bdrvUnrefChild,
  edgeOf,
} from "./index.ts";
import {
  ALONE,
  conflict,
  EventLog,
  imageDriver,
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

describe("edges have", () => {
  it("what the parents need, and what drivers make of it on the way down", () => {
    //  blk -> top (image) -backing-> base (image) -file-> disk
    runGraph("top:image -backing-> base:image\nbase -file-> disk", function* (node): Polls<void> {
      expect(graphToTextWithPerms()).toBe(
        "disk\nbase -file{rws/ru}-> disk\ntop -backing{-/rwus}-> base",
      );
      yield* blkOver(node, "top");
      expect(graphToTextWithPerms()).toBe(
        "disk\nbase -file{rws/ru}-> disk\nroot=root1{rwus/rwus} top -backing{r/rwus}-> base",
      );
    });
  });

  it("the permissions of all parents together", () => {
    runGraph("f:filter -file-> disk", function* (node): Polls<void> {
      yield* blkOver(node, "f", WRITER);
      yield* blkOver(node, "f", READER);
      yield* blkOver(node, "f", { perm: 0, sharedPerm: BLK_PERM_ALL & ~BLK_PERM_WRITE_UNCHANGED });
      expect(graphToTextWithPerms()).toBe(
        "disk\nroot=root3{-/rws} root=root2{r/rwus} root=root1{rw/rwus} f -file{rw/rws}-> disk",
      );
    });
  });

  it("less when a parent goes", () => {
    runGraph("user:filter -file-> f:filter\nf -file-> disk", function* (node, graph): Polls<void> {
      yield* blkOver(node, "user", ALONE);
      expect(edgeOf(graph, "f", "file")).toMatchObject(ALONE);
      yield* bdrvUnrefChild(node("user"), edgeOf(graph, "user", "file"));
      expect(edgeOf(graph, "f", "file")).toMatchObject({ perm: 0, sharedPerm: BLK_PERM_ALL });
    });
  });

  it("less when a backing file is let go, unlike in QEMU 7.2, so that somebody else may write below it", () => {
    //  blk -> top -backing-> old (filter) -file-> disk      =>      blk -> top      writer -> disk
    runGraph("top:image -backing-> old:filter\nold -file-> disk", function* (node): Polls<void> {
      yield* blkOver(node, "top", STILL);
      const lateWriter = (): Polls<BlockBackend> => blkOver(node, "disk", WRITER);
      yield* refuses(
        lateWriter,
        conflict("disk", "write", "an unnamed block device as root", "node 'old' as file"),
        EPERM,
      );
      yield* bdrvSetBackingHd(node("top"), null);
      yield* lateWriter();
      expect(graphToTextWithPerms()).toBe(
        "root=root3{rw/rwus} disk\nold -file{-/rwus}-> disk\nroot=root1{r/ru} top",
      );
    });
  });

  it("less below a node that an edge has left for another", () => {
    runGraph(
      "a:filter -file-> old:filter\nold -file-> disk\nnew",
      function* (node, graph): Polls<void> {
        yield* blkOver(node, "a", ALONE);
        expect(graphToTextWithPerms([node("old")])).toBe("old -file{rw/ru}-> disk");
        yield* bdrvReplaceChildBs(edgeOf(graph, "a", "file"), node("new"));
        expect(graphToTextWithPerms([node("old")])).toBe("old -file{-/rwus}-> disk");
      },
    );
  });

  it("everything shared below which a node was opened with force_share", () => {
    runGraph("disk\ntop:image", function* (node): Polls<void> {
      node("disk").forceShare = true;
      bdrvRef(node("disk"));
      yield* bdrvAttachChild(node("top"), node("disk"), "file", BDRV_CHILD_IMAGE);
      expect(graphToTextWithPerms()).toBe("disk\ntop -file{rws/rwus}-> disk");
    });
  });
});

describe("the order of a refresh", () => {
  it("has parents before children, and the last root first", () => {
    //   a -> b -> d
    //   a -> c -> d -> e        and f alone
    runGraph("a -x-> b -y-> c\nb -x-> d\nc -x-> d\nd -x-> e\nf", function* (node): Polls<void> {
      const namesOf = (...roots: string[]): string =>
        bdrvTopologicalDfs(roots.map(node))
          .map((bs) => bs.nodeName)
          .join("");
      expect(namesOf("a")).toBe("acbde");
      expect(namesOf("d", "a")).toBe("acbde");
      expect(namesOf("a", "d")).toBe("acbde");
      expect(namesOf("a", "f")).toBe("facbde");
      yield* bdrvRefreshPerms(node("f"), null);
    });
  });

  it("lets a lone writer change its branch, in either direction", () => {
    //   chooser -first-> l -file-> base        writes to one of the two, and nobody else may
    //           -second-> r -file-> base
    runGraph("l:filter -file-> base\nr:filter -file-> base", function* (node): Polls<void> {
      let writes = "first";
      const chooser: BlockDriver = {
        formatName: "chooser",
        isFilter: false,
        childPerm: (_bs, child) =>
          child?.name === writes ? ALONE : { perm: 0, sharedPerm: BLK_PERM_ALL },
      };
      for (const name of ["l", "r"]) bdrvRef(node(name));
      const bs = yield* bdrvOpenDriver(chooser, "chooser", {
        children: [
          { name: "first", role: BDRV_CHILD_DATA, bs: node("l") },
          { name: "second", role: BDRV_CHILD_DATA, bs: node("r") },
        ],
      });
      for (writes of ["second", "first", "second"]) {
        yield* bdrvRefreshPerms(bs, null);
        assertPermissions(bdrvAllStates());
      }
      expect(graphToTextWithPerms([bs, node("l"), node("r")])).toBe(
        "chooser -second{rw/ru}-> r -first{-/rwus}-> l\nl -file{-/rwus}-> base\nr -file{rw/ru}-> base",
      );
      yield* bdrvUnref(bs);
    });
  });
});

describe("the reads of a refresh", () => {
  it("are those of the code: below first, then for each node its parents twice and more, then its children", () => {
    //   blk -> top -file-> disk <- blk
    const probe = new EventLog(["list_read"]);
    runGraph(
      "top:filter -file-> disk",
      function* (node): Polls<void> {
        yield* blkOver(node, "top", READER);
        yield* blkOver(node, "disk", READER);
        probe.lines.length = 0;
        yield* bdrvRefreshPerms(node("top"), null);
      },
      { probe },
    );
    const reads = probe.lines.map((line) => line.replace("list_read ", ""));
    // list 1: children, 2: parents, 5: the node of an edge. Owners: disk 1, top 2; edges: file 1, blk's 2 and 3.
    expect(reads).toEqual([
      "list=1 owner=2 bdrv_topological_dfs",
      "list=5 owner=1 bdrv_topological_dfs",
      "list=1 owner=1 bdrv_topological_dfs",
      // top has one parent.
      "list=2 owner=2 bdrv_parent_perms_conflict",
      "list=2 owner=2 bdrv_parent_perms_conflict",
      "list=2 owner=2 bdrv_get_cumulative_perm",
      "list=1 owner=2 bdrv_node_refresh_perm",
      "list=5 owner=1 bdrv_node_refresh_perm",
      // disk has two: an outer walk, two inner ones, and each pair in both directions.
      "list=2 owner=1 bdrv_parent_perms_conflict",
      "list=2 owner=1 bdrv_parent_perms_conflict",
      "list=5 owner=3 bdrv_a_allow_b",
      "list=5 owner=1 bdrv_a_allow_b",
      "list=2 owner=1 bdrv_parent_perms_conflict",
      "list=5 owner=1 bdrv_a_allow_b",
      "list=5 owner=3 bdrv_a_allow_b",
      "list=2 owner=1 bdrv_get_cumulative_perm",
      "list=1 owner=1 bdrv_node_refresh_perm",
    ]);
  });
});

describe("permissions of one edge", () => {
  it("are tightened, or refused and left as they were", () => {
    runGraph("f:filter -file-> disk", function* (node, graph): Polls<void> {
      const blk = yield* blkOver(node, "f", READER);
      yield* blkOver(node, "disk", STILL);
      const root = blk.rawRoot;
      if (root === null) throw new Error("the node is inserted");
      yield* bdrvChildTrySetPerm(root, STILL);
      expect(edgeOf(graph, "f", "file")).toMatchObject(STILL);
      yield* refuses(
        () => bdrvChildTrySetPerm(root, WRITER),
        conflict("disk", "write", "node 'f' as file", "an unnamed block device as root"),
        EINVAL,
      );
    });
  });

  it("that are loosened in vain stay, and nobody is told", () => {
    runGraph("disk", function* (node): Polls<void> {
      const blk = yield* blkOver(node, "disk", WRITER);
      const root = blk.rawRoot;
      if (root === null) throw new Error("the node is inserted");
      // Still a writer, of a node that cannot be written any more.
      node("disk").readOnly = true;
      yield* bdrvChildTrySetPerm(root, { perm: BLK_PERM_WRITE, sharedPerm: BLK_PERM_ALL });
      expect(root).toMatchObject(WRITER);
      yield* bdrvChildTrySetPerm(root, READER);
      expect(root).toMatchObject(READER);
    });
  });

  it("are what its driver says when it is asked again", () => {
    runGraph("disk", function* (node): Polls<void> {
      const wants = { ...READER };
      const moody: BlockDriver = {
        formatName: "moody",
        isFilter: false,
        childPerm: () => ({ ...wants }),
      };
      bdrvRef(node("disk"));
      const bs = yield* bdrvOpenDriver(moody, "moody", {
        children: [{ name: "x", role: BDRV_CHILD_DATA, bs: node("disk") }],
      });
      const edge = bs.rawChildren.first;
      if (edge === null) throw new Error("the child is attached");
      expect(edge).toMatchObject(READER);
      wants.perm = BLK_PERM_WRITE;
      expect(() => assertPermissions(bdrvAllStates())).toThrow(
        `edge ${edge.id} 'x' has perm: consistent read; shared: all, and should have perm: write; shared: all`,
      );
      yield* bdrvChildRefreshPerms(bs, edge);
      expect(edge.perm).toBe(BLK_PERM_WRITE);
      yield* bdrvUnref(bs);
    });
  });
});

describe("a driver that looks at its permissions", () => {
  /** Logs what it is told; refuses to be written when `refuse` says so. */
  function looking(log: string[], refuse: { writers: boolean }): BlockDriver {
    return {
      ...imageDriver,
      formatName: "looking",
      checkPerm: (bs, { perm }) => {
        log.push(`check ${bs.nodeName} ${perm}`);
        if (refuse.writers && (perm & BLK_PERM_WRITE) !== 0)
          throw new BlockError(EPERM, `${bs.nodeName} is locked`);
        return undefined;
      },
      setPerm: (bs, { perm }) => {
        log.push(`set ${bs.nodeName} ${perm}`);
        return undefined;
      },
      abortPermUpdate: (bs) => {
        log.push(`abort ${bs.nodeName}`);
        return undefined;
      },
    };
  }

  it("is asked on the way down, and told when all is decided", () => {
    runGraph("n", function* (): Polls<void> {
      const log: string[] = [];
      const refuse = { writers: false };
      const below = yield* bdrvOpenDriver(looking(log, refuse), "below");
      const above = yield* bdrvOpenDriver(looking(log, refuse), "above", {
        children: [{ name: "backing", role: BDRV_CHILD_COW, bs: below }],
      });
      log.length = 0;
      const blk = yield* blkNewWithBs(above, READER);
      expect(log.splice(0)).toEqual([
        "check above 1",
        "check below 1",
        "set below 1",
        "set above 1",
      ]);
      refuse.writers = true;
      const root = blk.rawRoot;
      if (root === null) throw new Error("the node is inserted");
      yield* refuses(() => bdrvChildTrySetPerm(root, WRITER), "above is locked", EPERM);
      expect(log.splice(0)).toEqual(["check above 3"]);
      yield* bdrvUnref(above);
    });
  });

  it("is told that it was for nothing when a node below refuses", () => {
    runGraph("n", function* (): Polls<void> {
      const log: string[] = [];
      const refuse = { writers: false };
      const below = yield* bdrvOpenDriver(looking(log, refuse), "below");
      below.readOnly = true;
      const above = yield* bdrvOpenDriver({ ...looking(log, refuse), isFilter: true }, "above", {
        children: [{ name: "file", role: FILTERED, bs: below }],
      });
      log.length = 0;
      yield* refuses(() => blkNewWithBs(above, WRITER), "Block node is read-only", EPERM);
      expect(log).toEqual(["check above 3", "abort above"]);
      yield* bdrvUnref(above);
    });
  });
});
