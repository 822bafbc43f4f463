// What there is: BlockBackends, nodes, and the graph that they make.

import {
  type BlockBackend,
  blkAll,
  blkBs,
  blkDevHasRemovableMedia,
  blkDevHasTray,
  blkDevIsMediumLocked,
  blkDevIsTrayOpen,
  blkGetAttachedDev,
  blkGetAttachedDevId,
  blkIostatus,
  blkIostatusIsEnabled,
  blkRoot,
} from "#core/backend";
import {
  type BdrvChild,
  BLK_PERM_CONSISTENT_READ,
  BLK_PERM_RESIZE,
  BLK_PERM_WRITE,
  BLK_PERM_WRITE_UNCHANGED,
  bdrvAllStates,
  bdrvSkipImplicitFilters,
  childrenOf,
  edgeBs,
} from "#core/graph";
import { blockJobNextLocked, withJobLock } from "#core/jobs";
import { site } from "#core/probe";
import type { Polls } from "#core/sched";
import { command, nothing, type QmpCommand } from "../qmp/dispatch.ts";
import type { Sendable } from "../qmp/json-value.ts";
import { bool, list, optional, struct } from "../qmp/schema.ts";
import type { Daemon } from "../state.ts";
import { bdrvBlockDeviceInfo, type StoredBitmaps, storedBitmaps } from "./image-info.ts";
import { blockDeviceInfo, blockInfoType, xDbgBlockGraph } from "./result-types.ts";

const SITE_QUERY = site("qmp_query_block");
const SITE_GRAPH = site("bdrv_get_xdbg_block_graph");

const queryBlock = command(
  "query-block",
  nothing,
  function* (): Polls<Sendable> {
    const bitmaps = yield* storedBitmaps();
    return blkAll()
      .filter((blk) => blk.name !== "" || blkGetAttachedDev(blk) !== null)
      .map((blk) => blockInfo(blk, bitmaps));
  },
  list(blockInfoType),
);

/** bdrv_query_info (block/qapi.c:307). */
function blockInfo(blk: BlockBackend, bitmaps: StoredBitmaps): Sendable {
  const bs = blkBs(blk, SITE_QUERY);
  const id = blkGetAttachedDevId(blk);
  const how = { flat: false, bitmaps };
  return {
    device: blk.name,
    qdev: id === "" ? undefined : id,
    type: "unknown",
    removable: blkDevHasRemovableMedia(blk),
    locked: blkDevIsMediumLocked(blk),
    tray_open: blkDevHasTray(blk) ? blkDevIsTrayOpen(blk) : undefined,
    "io-status": blkIostatusIsEnabled(blk) ? blkIostatus(blk) : undefined,
    inserted: bs === null ? undefined : bdrvBlockDeviceInfo(blk, bdrvSkipImplicitFilters(bs), how),
  };
}

const queryNamedBlockNodes = command(
  "query-named-block-nodes",
  struct({ flat: optional(bool) }),
  function* (_daemon: Daemon, { flat = false }): Polls<Sendable> {
    const how = { flat, bitmaps: yield* storedBitmaps() };
    // The newest first, as QEMU does.
    return [...bdrvAllStates()].reverse().map((bs) => bdrvBlockDeviceInfo(null, bs, how));
  },
  list(blockDeviceInfo),
);

/** QAPI: BlockPermission, in the order in which QEMU lists them. */
const PERMISSION_NAMES = [
  [BLK_PERM_RESIZE, "resize"],
  [BLK_PERM_WRITE_UNCHANGED, "write-unchanged"],
  [BLK_PERM_WRITE, "write"],
  [BLK_PERM_CONSISTENT_READ, "consistent-read"],
] as const;

function permissionNames(perm: number): string[] {
  return PERMISSION_NAMES.filter(([bit]) => (perm & bit) !== 0).map(([, name]) => name);
}

const queryBlockGraph = command(
  "x-debug-query-block-graph",
  nothing,
  function* (): Polls<Sendable> {
    const graph = new XDbgBlockGraph();
    for (const blk of blkAll()) {
      const root = blkRoot(blk, SITE_GRAPH);
      const name = blk.name === "" ? blkGetAttachedDevId(blk) : blk.name;
      graph.add(blk, "block-backend", name, root === null ? [] : [root]);
    }
    withJobLock(() => {
      for (let job = blockJobNextLocked(null); job !== null; job = blockJobNextLocked(job))
        graph.add(job, "block-job", job.job.name ?? "", job.nodes);
    });
    for (const bs of bdrvAllStates())
      graph.add(bs, "block-driver", bs.nodeName, childrenOf(bs, SITE_GRAPH).snapshot());
    return { nodes: graph.nodes.reverse(), edges: graph.edges.reverse() };
  },
  xDbgBlockGraph,
);

/** Nodes and edges with numbers, in the order in which they are met (C: XDbgBlockGraphConstructor). */
class XDbgBlockGraph {
  readonly nodes: Sendable[] = [];
  readonly edges: Sendable[] = [];
  readonly #numbers = new Map<unknown, number>();

  add(node: unknown, type: string, name: string, edges: readonly BdrvChild[]): void {
    const parent = this.#numberOf(node);
    this.nodes.push({ id: parent, type, name });
    for (const edge of edges) {
      const below = edgeBs(edge, SITE_GRAPH);
      if (below === null) continue;
      this.edges.push({
        parent,
        child: this.#numberOf(below),
        name: edge.name,
        perm: permissionNames(edge.perm),
        "shared-perm": permissionNames(edge.sharedPerm),
      });
    }
  }

  #numberOf(node: unknown): number {
    const known = this.#numbers.get(node);
    if (known !== undefined) return known;
    const number = this.#numbers.size + 1;
    this.#numbers.set(node, number);
    return number;
  }
}

export const queryCommands: readonly QmpCommand<Daemon>[] = [
  queryBlock,
  queryNamedBlockNodes,
  queryBlockGraph,
];
