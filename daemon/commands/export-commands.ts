// The NBD server and its exports: nbd-server-start and -stop, block-export-add and -del.

import { blkBs, blkInsertBs, blkNew, blkUnref } from "#core/backend";
import { EINVAL, must } from "#core/base";
import { BDRV_BITMAP_ALLOW_RO, type BdrvDirtyBitmap, bdrvDirtyBitmapCheck } from "#core/bitmaps";
import {
  BLK_PERM_ALL,
  BLK_PERM_CONSISTENT_READ,
  BLK_PERM_WRITE,
  type BlockDriverState,
  BlockError,
  bdrvTryChangeAioContext,
  settle,
} from "#core/graph";
import { site } from "#core/probe";
import {
  aioBhScheduleOneshot,
  aioWaitKick,
  aioWaitWhileUnlocked,
  machine,
  type Polls,
  type SocketAddress,
} from "#core/sched";
import { emitEvent } from "../events.ts";
import {
  exportedBitmap,
  type NbdExport,
  type NbdServer,
  nbdExportCreate,
  nbdExportRelease,
  nbdExportRequestShutdown,
  nbdServerStart,
  nbdServerStop,
} from "../nbd/index.ts";
import { command, nothing, type QmpCommand } from "../qmp/dispatch.ts";
import type { Sendable } from "../qmp/json-value.ts";
import {
  bool,
  enumOf,
  list,
  optional,
  str,
  struct,
  type TypeOf,
  uint32,
  union,
} from "../qmp/schema.ts";
import type { Daemon, DaemonAuthz, DaemonCreds, DaemonExport } from "../state.ts";
import { bitmapOrName, dirtyBitmapLookup } from "./bitmap-commands.ts";
import { credsUnref, getTlsCreds } from "./credentials.ts";
import { bdrvLookupBs, iothreadById } from "./lookup.ts";
import { blockExportInfo } from "./result-types.ts";

const SITE_EXPORTS = site("qmp_query_block_exports");
const SITE_CLOSE_ALL = site("blk_exp_close_all_type");

/** QAPI: SocketAddress. */
export const flatAddress = union({ type: enumOf("inet", "unix", "fd") }, "type", {
  inet: { host: str, port: str },
  unix: { path: str },
  fd: { str: str },
});

/** QAPI: SocketAddressLegacy, as nbd-server-start has it. */
const legacyAddress = union({ type: enumOf("inet", "unix", "fd") }, "type", {
  inet: { data: struct({ host: str, port: str }) },
  unix: { data: struct({ path: str }) },
  fd: { data: struct({ str: str }) },
});

/** QAPI: NbdServerOptions, as `--nbd-server` has it. */
const serverMembers = {
  "tls-creds": optional(str),
  "tls-authz": optional(str),
  "max-connections": optional(uint32),
};
export const nbdServerOptions = struct({ addr: flatAddress, ...serverMembers });
type ServerMembers = Omit<TypeOf<typeof nbdServerOptions>, "addr">;

/** Where a socket of the command line is. */
export function socketAddressOf(address: TypeOf<typeof flatAddress>): SocketAddress {
  switch (address.type) {
    case "inet":
      return { type: "inet", host: address.host, port: portOf(address.port) };
    case "unix":
      return { type: "unix", path: socketPath(address.path) };
    case "fd":
      return { type: "fd", fd: portOf(address.str) };
  }
}

/** C: sizeof(sun_path), of which the zero at the end is a part. What is longer the system would cut off. */
const SOCKET_PATH_BYTES = 108;

function socketPath(path: string): string {
  if (new TextEncoder().encode(path).length < SOCKET_PATH_BYTES) return path;
  const hint = `Path must be less than ${SOCKET_PATH_BYTES} bytes`;
  throw new BlockError(EINVAL, `UNIX socket path '${path}' is too long`, hint);
}

function portOf(text: string): number {
  const port = /^[0-9]{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (!(port <= 65_535)) throw new BlockError(EINVAL, `port '${text}' is no number of a port`);
  return port;
}

/** nbd_server_start (blockdev-nbd.c:137) for the daemon. Polls. */
export function* startNbdServer(
  daemon: Daemon,
  address: SocketAddress,
  members: ServerMembers,
): Polls<void> {
  if (daemon.nbdServer !== null) throw new BlockError(EINVAL, "NBD server already running");
  const { "tls-creds": credsId } = members;
  const creds = credsId === undefined ? null : getTlsCreds(credsId, "server");
  const started = yield* settle(() => listen(daemon, address, creds, members));
  if (!started.ok) {
    if (creds !== null) credsUnref(creds);
    throw started.error;
  }
  daemon.nbdServer = started.value;
  daemon.nbdCreds = creds;
}

function* listen(
  daemon: Daemon,
  address: SocketAddress,
  creds: DaemonCreds | null,
  { "tls-authz": authzId, "max-connections": maxConnections }: ServerMembers,
): Polls<NbdServer> {
  // QEMU would let everybody in.
  if (authzId !== undefined && creds?.identifiesPeer !== true)
    throw new BlockError(
      EINVAL,
      "'tls-authz' needs 'tls-creds' by which clients prove who they are",
    );
  const isAllowed = (identity: string) => authzOf(daemon, authzId)?.isAllowed(identity) ?? false;
  return yield* nbdServerStart({
    address,
    ...(maxConnections === undefined ? {} : { maxConnections }),
    ...(creds === null
      ? {}
      : { tls: { creds: creds.handle, isAllowed: authzId === undefined ? null : isAllowed } }),
  });
}

/** qauthz_is_allowed_by_id: the object is looked up when a client comes; one that is not there lets nobody in. */
function authzOf(daemon: Daemon, id: string | undefined): DaemonAuthz | null {
  const object = id === undefined ? undefined : daemon.objects.get(id);
  return object !== undefined && "isAllowed" in object ? object : null;
}

const serverStart = command(
  "nbd-server-start",
  struct({ addr: legacyAddress, ...serverMembers }),
  function* (daemon: Daemon, { addr, ...members }): Polls<Sendable> {
    const address = socketAddressOf({ type: addr.type, ...addr.data } as TypeOf<
      typeof flatAddress
    >);
    yield* startNbdServer(daemon, address, members);
    return undefined;
  },
);

const serverStop = command("nbd-server-stop", nothing, function* (daemon: Daemon): Polls<Sendable> {
  const server = daemon.nbdServer;
  if (server === null) throw new BlockError(EINVAL, "NBD server not running");
  for (const one of [...daemon.exports.values()]) yield* removeExport(daemon, one);
  // Another monitor, or the daemon's end, has stopped it meanwhile.
  if (daemon.nbdServer !== server) return undefined;
  const creds = daemon.nbdCreds;
  daemon.nbdServer = null;
  daemon.nbdCreds = null;
  yield* nbdServerStop(server);
  if (creds !== null) credsUnref(creds);
  return undefined;
});

/** QAPI: BlockExportOptions. */
export const exportOptions = union(
  {
    type: enumOf("nbd"),
    id: str,
    "node-name": str,
    writable: optional(bool),
    writethrough: optional(bool),
    iothread: optional(str),
    "fixed-iothread": optional(bool),
  },
  "type",
  {
    nbd: {
      name: optional(str),
      description: optional(str),
      bitmaps: optional(list(bitmapOrName)),
      "allocation-depth": optional(bool),
    },
  },
);

/** blk_exp_add (block/export/export.c:75). Polls. */
export function* addExport(daemon: Daemon, options: TypeOf<typeof exportOptions>): Polls<void> {
  const { id, "node-name": nodeName, writable = false } = options;
  if (!/^[A-Za-z][A-Za-z0-9._-]*$/.test(id))
    throw new BlockError(EINVAL, "Invalid block export id");
  if (daemon.exports.has(id))
    throw new BlockError(EINVAL, `Block export id '${id}' is already in use`);
  const bs = bdrvLookupBs(null, nodeName);
  if (bs.readOnly && writable)
    throw new BlockError(EINVAL, "Cannot export read-only node as writable");
  if (daemon.nbdServer === null) throw new BlockError(EINVAL, "NBD server not running");
  if (options.iothread !== undefined) {
    const ctx = iothreadById(daemon, options.iothread);
    if (ctx === null) throw new BlockError(EINVAL, `iothread "${options.iothread}" not found`);
    const moved = yield* settle(() => bdrvTryChangeAioContext(bs, ctx, null));
    if (!moved.ok && options["fixed-iothread"] === true) throw moved.error;
  }
  const blk = blkNew(bs.aioContext, {
    perm: BLK_PERM_CONSISTENT_READ | (writable ? BLK_PERM_WRITE : 0),
    sharedPerm: BLK_PERM_ALL,
    enableWriteCache: options.writethrough !== true,
  });
  const server = daemon.nbdServer;
  const added = yield* settle(function* (): Polls<NbdExport> {
    yield* blkInsertBs(blk, bs);
    return yield* nbdExportCreate(server, blk, {
      name: options.name ?? nodeName,
      description: options.description ?? "",
      writable,
      bitmaps: (options.bitmaps ?? []).map((one) => bitmapFor(bs, one, writable)),
      allocationDepth: options["allocation-depth"] ?? false,
    });
  });
  if (!added.ok) {
    yield* blkUnref(blk);
    throw added.error;
  }
  daemon.exports.set(id, { id, blk, nbdExport: added.value, isShuttingDown: false });
}

/** A bitmap by its name alone is one of the exported node, or of one below. */
function bitmapFor(
  bs: BlockDriverState,
  bitmap: TypeOf<typeof bitmapOrName>,
  writable: boolean,
): BdrvDirtyBitmap {
  if (typeof bitmap === "string") return exportedBitmap(bs, bitmap, writable);
  const found = dirtyBitmapLookup(bitmap);
  bdrvDirtyBitmapCheck(found, BDRV_BITMAP_ALLOW_RO);
  return found;
}

const exportAdd = command(
  "block-export-add",
  exportOptions,
  function* (daemon: Daemon, options): Polls<Sendable> {
    yield* addExport(daemon, options);
    return undefined;
  },
);

const exportDel = command(
  "block-export-del",
  struct({ id: str, mode: optional(enumOf("safe", "hard")) }),
  function* (daemon: Daemon, { id, mode = "safe" }): Polls<Sendable> {
    const found = daemon.exports.get(id);
    if (found === undefined) throw new BlockError(EINVAL, `Export '${id}' is not found`);
    if (found.isShuttingDown)
      throw new BlockError(EINVAL, `Export '${id}' is already shutting down`);
    if (mode === "safe" && found.nbdExport.clients.size > 0)
      throw new BlockError(
        EINVAL,
        `export '${id}' still in use\nUse mode='hard' to force client disconnect`,
      );
    if (found.nbdExport.clients.size > 0) requestShutdown(daemon, found);
    else yield* removeExport(daemon, found);
    return undefined;
  },
);

/** blk_exp_request_shutdown: it ends when the last request of its clients has, for which a command does not wait: a disk may hang. */
function requestShutdown(daemon: Daemon, found: DaemonExport): void {
  const { nbdExport } = found;
  const server = must(daemon.nbdServer, "an export has a server");
  found.isShuttingDown = true;
  nbdExportRequestShutdown(server, nbdExport);
  nbdExport.onGone = () => {
    nbdExport.onGone = null;
    aioBhScheduleOneshot(machine.mainContext, () => freeExport(daemon, found));
  };
}

/** blk_exp_delete_bh: nobody uses it any more. Polls. */
function* freeExport(daemon: Daemon, found: DaemonExport): Polls<void> {
  nbdExportRelease(found.nbdExport);
  yield* blkUnref(found.blk);
  daemon.exports.delete(found.id);
  emitEvent(daemon, "BLOCK_EXPORT_DELETED", { id: found.id });
  aioWaitKick();
}

/** blk_exp_close_all, for one: ask it to end, and wait for that. Polls. */
export function* removeExport(daemon: Daemon, found: DaemonExport): Polls<void> {
  if (daemon.nbdServer === null) return;
  if (!found.isShuttingDown && found.nbdExport.clients.size > 0) requestShutdown(daemon, found);
  if (found.isShuttingDown) {
    const isThere = () => daemon.exports.get(found.id) === found;
    yield* aioWaitWhileUnlocked(null, isThere, SITE_CLOSE_ALL);
    return;
  }
  found.isShuttingDown = true;
  nbdExportRequestShutdown(daemon.nbdServer, found.nbdExport);
  yield* freeExport(daemon, found);
}

const queryBlockExports = command(
  "query-block-exports",
  nothing,
  function* (daemon: Daemon): Polls<Sendable> {
    // Newest first, as in QEMU.
    return [...daemon.exports.values()].reverse().map(({ id, blk, isShuttingDown }) => ({
      id,
      type: "nbd",
      // What it was made for may have got an overlay since.
      "node-name": blkBs(blk, SITE_EXPORTS)?.nodeName ?? "",
      "shutting-down": isShuttingDown,
    }));
  },
  list(blockExportInfo),
);

export const exportCommands: readonly QmpCommand<Daemon>[] = [
  serverStart,
  serverStop,
  exportAdd,
  exportDel,
  queryBlockExports,
];
