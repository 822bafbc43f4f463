// What clients call things: a BlockBackend by its name, a node by its node-name, and which of the two an argument may be.

import { type BlockBackend, blkAll, blkBs } from "#core/backend";
import { EINVAL, ENOMEDIUM } from "#core/base";
import { type BlockDriverState, BlockError, bdrvFindNode, parentsOf } from "#core/graph";
import { bdrvIsInserted } from "#core/io";
import { site } from "#core/probe";
import type { AioContext } from "#core/sched";
import type { Daemon } from "../state.ts";

const SITE_LOOKUP = site("bdrv_lookup_bs");
const SITE_ROOT = site("bdrv_is_root_node");

/** blk_by_name (block-backend.c:736). */
export function blkByName(name: string): BlockBackend | null {
  return name === "" ? null : (blkAll().find((blk) => blk.name === name) ?? null);
}

/** bdrv_find_node, for a name that a client said: it may be empty. */
export function findNode(nodeName: string): BlockDriverState | null {
  return nodeName === "" ? null : bdrvFindNode(nodeName);
}

/** bdrv_find_node in a command that is about one node; BlockError when there is none. */
export function namedNode(nodeName: string): BlockDriverState {
  const bs = findNode(nodeName);
  if (bs !== null) return bs;
  throw new BlockError(EINVAL, `Failed to find node with node-name='${nodeName}'`);
}

/** bdrv_lookup_bs (block.c:6091): what a device holds, else a node; null for what the client has not given. */
export function bdrvLookupBs(device: string | null, nodeName: string | null): BlockDriverState {
  const blk = device === null ? null : blkByName(device);
  if (blk !== null) {
    const held = blkBs(blk, SITE_LOOKUP);
    if (held === null) throw new BlockError(ENOMEDIUM, `Device '${device}' has no medium`);
    return held;
  }
  const bs = nodeName === null ? null : findNode(nodeName);
  if (bs !== null) return bs;
  const what = `device='${device ?? ""}' nor node-name='${nodeName ?? ""}'`;
  throw new BlockError(EINVAL, `Cannot find ${what}`);
}

/** qmp_get_root_bs (blockdev.c:1023): a device, or a node that is no other's child. */
export function qmpGetRootBs(name: string): BlockDriverState {
  const bs = bdrvLookupBs(name, name);
  const parents = parentsOf(bs, SITE_ROOT);
  for (let edge = parents.first; edge !== null; edge = parents.next(edge))
    if (edge.klass.parentIsBds) throw new BlockError(EINVAL, "Need a root block node");
  if (!bdrvIsInserted(bs)) throw new BlockError(ENOMEDIUM, "Device has no medium");
  return bs;
}

/** iothread_by_id; null when there is none. */
export function iothreadById(daemon: Daemon, id: string): AioContext | null {
  const object = daemon.objects.get(id);
  return object?.type === "iothread" ? object.ctx : null;
}
