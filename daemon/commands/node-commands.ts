// Nodes: blockdev-add and -del, what there is, and who is whose parent.

import { bdrvHasBlk } from "#core/backend";
import { EBUSY, EINVAL } from "#core/base";
import {
  BLK_PERM_CONSISTENT_READ,
  BLK_PERM_RESIZE,
  BLK_PERM_WRITE,
  BLK_PERM_WRITE_UNCHANGED,
  type BlockDriverState,
  BlockError,
  backingOf,
  bdrvAddChild,
  bdrvAllStates,
  bdrvAppend,
  bdrvDelChild,
  bdrvGetDeviceOrNodeName,
  bdrvOpIsBlocked,
  bdrvSetMonitorOwned,
  bdrvTryChangeAioContext,
  bdrvUnref,
  childrenOf,
  edgeBs,
  parentsOf,
} from "#core/graph";
import { site } from "#core/probe";
import { machine, type Polls } from "#core/sched";
import { blockdevOpen } from "../blockdev.ts";
import { type BlockdevOptions, blockdevOptions, strOrNull } from "../blockdev-options.ts";
import { command, type QmpCommand } from "../qmp/dispatch.ts";
import type { Sendable } from "../qmp/json-value.ts";
import { bool, optional, str, struct } from "../qmp/schema.ts";
import type { Daemon } from "../state.ts";
import { bdrvLookupBs, findNode, iothreadById, namedNode } from "./lookup.ts";

const SITE_QUERY = site("qmp_query_named_block_nodes");
const SITE_GRAPH = site("bdrv_get_xdbg_block_graph");
const SITE_CHANGE = site("qmp_x_blockdev_change");

/** qmp_blockdev_add (blockdev.c:3548). Polls. */
export function* addBlockdev(daemon: Daemon, options: BlockdevOptions): Polls<void> {
  // Without a name nobody could ever say which node is meant.
  if (options["node-name"] === undefined)
    throw new BlockError(EINVAL, "'node-name' must be specified for the root node");
  const bs = yield* blockdevOpen(options);
  bdrvSetMonitorOwned(bs);
  daemon.nodes.set(bs.nodeName, bs);
}

const blockdevAdd = command(
  "blockdev-add",
  blockdevOptions,
  function* (daemon: Daemon, options): Polls<Sendable> {
    yield* addBlockdev(daemon, options);
    return undefined;
  },
);

const blockdevDel = command(
  "blockdev-del",
  struct({ "node-name": str }),
  function* (daemon: Daemon, { "node-name": nodeName }): Polls<Sendable> {
    const bs = namedNode(nodeName);
    if (bdrvHasBlk(bs)) throw new BlockError(EBUSY, `Node ${nodeName} is in use`);
    const blocked = bdrvOpIsBlocked(bs, "drive-del");
    if (blocked !== null) throw blocked;
    if (daemon.nodes.get(nodeName) !== bs)
      throw new BlockError(EINVAL, `Node ${nodeName} is not owned by the monitor`);
    if (bs.refcnt > 1)
      throw new BlockError(EBUSY, `Block device ${bdrvGetDeviceOrNodeName(bs)} is in use`);
    daemon.nodes.delete(nodeName);
    yield* bdrvUnref(bs);
    return undefined;
  },
);

const queryNamedBlockNodes = command(
  "query-named-block-nodes",
  struct({ flat: optional(bool) }),
  function* (): Polls<Sendable> {
    return bdrvAllStates().map(describeNode);
  },
);

/** bdrv_block_device_info, as far as nodes here have what it says. */
function describeNode(bs: BlockDriverState): Sendable {
  return {
    "node-name": bs.nodeName,
    drv: bs.drv.formatName,
    ro: bs.readOnly,
    file: fileNameOf(bs),
    encrypted: false,
    backing_file_depth: backingDepth(bs),
    detect_zeroes: "off",
    image: {
      filename: fileNameOf(bs),
      format: bs.drv.formatName,
      "virtual-size": bs.totalBytes,
    },
  };
}

/** How many backing files are below `bs`. */
function backingDepth(bs: BlockDriverState): number {
  const backing = backingOf(bs, SITE_QUERY);
  const below = backing === null ? null : edgeBs(backing, SITE_QUERY);
  return below === null ? 0 : 1 + backingDepth(below);
}

/** QAPI: BlockPermission. */
const PERMISSION_NAMES = [
  [BLK_PERM_CONSISTENT_READ, "consistent-read"],
  [BLK_PERM_WRITE, "write"],
  [BLK_PERM_WRITE_UNCHANGED, "write-unchanged"],
  [BLK_PERM_RESIZE, "resize"],
] as const;

function permissionNames(perm: number): string[] {
  return PERMISSION_NAMES.filter(([bit]) => (perm & bit) !== 0).map(([, name]) => name);
}

function fileNameOf(bs: BlockDriverState): string {
  const own = bs.options.filename;
  if (typeof own === "string") return own;
  for (const child of childrenOf(bs, SITE_QUERY).snapshot()) {
    const below = edgeBs(child, SITE_QUERY);
    if (below !== null) return fileNameOf(below);
  }
  return `${bs.drv.formatName}://`;
}

const queryBlockGraph = command(
  "x-debug-query-block-graph",
  struct({}),
  function* (): Polls<Sendable> {
    const nodes: Sendable[] = [];
    const edges: Sendable[] = [];
    for (const bs of bdrvAllStates()) {
      nodes.push({ id: bs.id, type: "block-driver", name: bs.nodeName });
      for (const child of childrenOf(bs, SITE_GRAPH).snapshot()) {
        const below = edgeBs(child, SITE_GRAPH);
        if (below === null) continue;
        edges.push({
          parent: bs.id,
          child: below.id,
          name: child.name,
          perm: permissionNames(child.perm),
          "shared-perm": permissionNames(child.sharedPerm),
        });
      }
    }
    return { nodes, edges };
  },
);

const setIothread = command(
  "x-blockdev-set-iothread",
  struct({ "node-name": str, iothread: strOrNull, force: optional(bool) }),
  function* (daemon: Daemon, { "node-name": nodeName, iothread, force = false }): Polls<Sendable> {
    const bs = namedNode(nodeName);
    // Protects against accidents.
    if (!force && bdrvHasBlk(bs)) {
      const why = `Node ${nodeName} is associated with a BlockBackend and could be in use`;
      throw new BlockError(EBUSY, `${why} (use force=true to override this check)`);
    }
    const ctx = iothread === null ? machine.mainContext : iothreadById(daemon, iothread);
    if (ctx === null) throw new BlockError(EINVAL, `Cannot find iothread ${iothread}`);
    yield* bdrvTryChangeAioContext(bs, ctx, null);
    return undefined;
  },
);

const blockdevSnapshot = command(
  "blockdev-snapshot",
  struct({ node: str, overlay: str }),
  function* (_daemon: Daemon, { node, overlay }): Polls<Sendable> {
    const bs = bdrvLookupBs(node, node);
    const above = bdrvLookupBs(overlay, overlay);
    if (parentsOf(above, SITE_CHANGE).first !== null)
      throw new BlockError(EBUSY, "The overlay is already in use");
    if (backingOf(above, SITE_CHANGE) !== null)
      throw new BlockError(EINVAL, "The overlay already has a backing image");
    if (above.drv.supportsBacking !== true)
      throw new BlockError(EINVAL, "The overlay does not support backing images");
    yield* bdrvAppend(above, bs);
    return undefined;
  },
);

const blockdevChange = command(
  "x-blockdev-change",
  struct({ parent: str, child: optional(str), node: optional(str) }),
  function* (_daemon: Daemon, { parent, child, node }): Polls<Sendable> {
    const bs = bdrvLookupBs(parent, parent);
    if ((child === undefined) === (node === undefined)) {
      const why =
        child === undefined
          ? "Either child or node must be specified"
          : "The parameters child and node are in conflict";
      throw new BlockError(EINVAL, why);
    }
    if (node !== undefined) {
      const added = findNode(node);
      if (added === null) throw new BlockError(EINVAL, `Node '${node}' not found`);
      yield* bdrvAddChild(bs, added);
      return undefined;
    }
    const edge = childrenOf(bs, SITE_CHANGE)
      .snapshot()
      .find(({ name }) => name === child);
    if (edge === undefined)
      throw new BlockError(EINVAL, `Node '${parent}' does not have child '${child}'`);
    yield* bdrvDelChild(bs, edge);
    return undefined;
  },
);

export const nodeCommands: readonly QmpCommand<Daemon>[] = [
  blockdevAdd,
  blockdevDel,
  queryNamedBlockNodes,
  queryBlockGraph,
  setIothread,
  blockdevSnapshot,
  blockdevChange,
];
