// Nodes as the monitor has them: blockdev-add and -del, the context that they run in, and children that come and go.

import { bdrvHasBlk } from "#core/backend";
import { EBUSY, EINVAL } from "#core/base";
import {
  BlockError,
  bdrvAddChild,
  bdrvDelChild,
  bdrvGetDeviceOrNodeName,
  bdrvOpIsBlocked,
  bdrvSetMonitorOwned,
  bdrvTryChangeAioContext,
  bdrvUnref,
  childrenOf,
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
  setIothread,
  blockdevChange,
];
