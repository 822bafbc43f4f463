// An export: one BlockBackend under a name, as NBD clients see it.
//
// Differs from QEMU: request queuing stays enabled. QEMU's server counts its requests itself and therefore has to stop its
// clients by callbacks; here a request of a client is nothing but requests of the BlockBackend, whose gate and counter do it.

import { type BlockBackend, blkBs, blkGetlength, blkGetPerm, blkSetPerm } from "#core/backend";
import { EEXIST, EINVAL, must, strerror } from "#core/base";
import { type BdrvDirtyBitmap, bdrvDirtyBitmapSetBusy } from "#core/bitmaps";
import { BLK_PERM_RESIZE, BlockError } from "#core/graph";
import { maxTransferOf } from "#core/io";
import { site } from "#core/probe";
import { CoQueue, globalStateCode, type Polls } from "#core/sched";
import type { NbdClient } from "./client.ts";
import { type MetaContext, metaContextsOf } from "./meta-context.ts";
import {
  NBD_BUFFER_BYTES_MAX,
  NBD_FLAG_CAN_MULTI_CONN,
  NBD_FLAG_HAS_FLAGS,
  NBD_FLAG_READ_ONLY,
  NBD_FLAG_SEND_CACHE,
  NBD_FLAG_SEND_FAST_ZERO,
  NBD_FLAG_SEND_FLUSH,
  NBD_FLAG_SEND_FUA,
  NBD_FLAG_SEND_TRIM,
  NBD_FLAG_SEND_WRITE_ZEROES,
  NBD_STRING_BYTES_MAX,
} from "./protocol.ts";
import type { NbdServer } from "./server.ts";
import { SpareBuffers } from "./spare-buffers.ts";

const SITE_CREATE = site("nbd_export_create");
const SECTOR_BYTES = 512;

/** QAPI: BlockExportOptionsNbd, and what all exports have. */
export interface NbdExportOptions {
  readonly name: string;
  readonly description?: string;
  readonly writable?: boolean;
  /** Bitmaps that clients can read; while it exists they are busy. */
  readonly bitmaps?: readonly BdrvDirtyBitmap[];
  /** Clients can ask how many layers down the data is. */
  readonly allocationDepth?: boolean;
}

/** C: NBDExport. Its list of clients is written in the main context. */
export class NbdExport {
  readonly name: string;
  readonly description: string;
  readonly blk: BlockBackend;
  readonly writable: boolean;
  /** Its size in bytes; it does not change while it is exported. */
  readonly size: number;
  /** What offsets and lengths of requests are best multiples of. */
  readonly alignment: number;
  /** The largest request that is advised. */
  readonly transferMax: number;
  readonly canMultiConn: boolean;
  readonly bitmaps: readonly BdrvDirtyBitmap[];
  readonly contexts: readonly MetaContext[];
  readonly clients = new Set<NbdClient>();
  /** Bytes of the buffers of all its clients' requests, and the clients that wait for some of them; of its context. */
  bytes = 0;
  readonly room = new CoQueue();
  readonly spareBuffers = new SpareBuffers();
  /** It is going: called in main when its last client has gone. */
  onGone: (() => void) | null = null;

  constructor(blk: BlockBackend, options: NbdExportOptions, facts: NbdExportFacts) {
    this.name = options.name;
    this.description = options.description ?? "";
    this.writable = options.writable ?? false;
    this.bitmaps = options.bitmaps ?? [];
    this.contexts = metaContextsOf(this.bitmaps, options.allocationDepth ?? false);
    this.blk = blk;
    this.size = facts.size;
    this.alignment = facts.alignment;
    this.transferMax = facts.transferMax;
    this.canMultiConn = facts.canMultiConn;
  }
}

interface NbdExportFacts {
  readonly size: number;
  readonly alignment: number;
  readonly transferMax: number;
  readonly canMultiConn: boolean;
}

/** nbd_export_create (nbd/server.c:1620): add an export of `blk` to `server`, or refuse with a BlockError. Polls. */
export function* nbdExportCreate(
  server: NbdServer,
  blk: BlockBackend,
  options: NbdExportOptions,
): Polls<NbdExport> {
  globalStateCode(SITE_CREATE);
  const { name, description = "" } = options;
  if (Buffer.byteLength(name) > NBD_STRING_BYTES_MAX)
    throw new BlockError(EINVAL, `export name '${name}' too long`);
  if (Buffer.byteLength(description) > NBD_STRING_BYTES_MAX)
    throw new BlockError(EINVAL, `description '${description}' too long`);
  if (server.exports.has(name))
    throw new BlockError(EEXIST, `NBD server already has export named '${name}'`);
  const size = blkGetlength(blk);
  if (size < 0)
    throw new BlockError(-size, `Failed to determine the NBD export's length: ${strerror(-size)}`);
  // Nobody resizes what is exported.
  const { perm, sharedPerm } = blkGetPerm(blk);
  yield* blkSetPerm(blk, { perm, sharedPerm: sharedPerm & ~BLK_PERM_RESIZE });
  const bs = must(blkBs(blk, SITE_CREATE), "what has a length is there");
  const nbdExport = new NbdExport(blk, options, {
    size: Math.floor(size / SECTOR_BYTES) * SECTOR_BYTES,
    alignment: bs.requestAlignment,
    transferMax: Math.min(maxTransferOf(bs), NBD_BUFFER_BYTES_MAX),
    canMultiConn: server.maxConnections !== 1,
  });
  for (const bitmap of nbdExport.bitmaps) bdrvDirtyBitmapSetBusy(bitmap, true);
  server.exports.set(name, nbdExport);
  return nbdExport;
}

const CHANGES = NBD_FLAG_SEND_TRIM | NBD_FLAG_SEND_WRITE_ZEROES | NBD_FLAG_SEND_FAST_ZERO;

/** The transmission flags of an export. */
export function exportFlags({ writable, canMultiConn }: NbdExport): number {
  const always = NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_FUA | NBD_FLAG_SEND_CACHE;
  return (
    always |
    (canMultiConn ? NBD_FLAG_CAN_MULTI_CONN : 0) |
    (writable ? CHANGES : NBD_FLAG_READ_ONLY)
  );
}
