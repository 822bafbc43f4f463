// From the options of filters, of drivers for tests, and of the NBD client to their nodes.

import {
  blkdebugOpen,
  blkverifyOpen,
  compressOpen,
  copyBeforeWriteOpen,
  copyOnReadOpen,
  nbdOpen,
  preallocateOpen,
  snapshotAccessOpen,
} from "#core/drivers";
import {
  BLK_PERM_CONSISTENT_READ,
  BLK_PERM_RESIZE,
  BLK_PERM_WRITE,
  BLK_PERM_WRITE_UNCHANGED,
  type BlockDriverState,
  bdrvUnref,
  settle,
} from "#core/graph";
import type { Polls } from "#core/sched";
import type { FilterOptions } from "./blockdev-filter-options.ts";
import type { BlockdevRef } from "./blockdev-options.ts";
import { dirtyBitmapLookup } from "./commands/bitmap-commands.ts";
import { credsUnref, getTlsCreds } from "./commands/credentials.ts";
import { socketAddressOf } from "./commands/export-commands.ts";

/** What opening a filter needs to know besides its options. */
export interface FilterContext {
  readonly nodeName: string;
  readonly readOnly: boolean;
  /** bdrv_open_child: a node for a reference, with a reference of the caller's. */
  readonly openRef: (ref: BlockdevRef) => Polls<BlockDriverState>;
}

/** bdrv_open with options: a node with one reference, the caller's; BlockError when refused, and nothing is left. Polls. */
export function* openFilter(
  options: FilterOptions,
  context: FilterContext,
): Polls<BlockDriverState> {
  const { nodeName, readOnly, openRef } = context;
  switch (options.driver) {
    case "blkdebug":
      return yield* openBlkdebug(options, context);
    case "blkverify": {
      const raw = yield* openRef(options.raw);
      const test = yield* settle(() => openRef(options.test));
      if (test.ok) return yield* blkverifyOpen(nodeName, raw, test.value);
      yield* bdrvUnref(raw);
      throw test.error;
    }
    case "compress":
      return yield* compressOpen(nodeName, yield* openRef(options.file), readOnly);
    case "copy-before-write":
      return yield* openCopyBeforeWrite(options, context);
    case "copy-on-read": {
      const bottom = options.bottom ?? null;
      return yield* copyOnReadOpen(nodeName, yield* openRef(options.file), bottom);
    }
    case "nbd":
      return yield* openNbd(options, context);
    case "preallocate": {
      const { driver: _driver, file, ...sizes } = options;
      return yield* preallocateOpen(nodeName, yield* openRef(file), sizes, readOnly);
    }
    case "snapshot-access":
      return yield* snapshotAccessOpen(nodeName, yield* openRef(options.file), readOnly);
  }
}

function* openBlkdebug(
  options: Extract<FilterOptions, { readonly driver: "blkdebug" }>,
  { nodeName, readOnly, openRef }: FilterContext,
): Polls<BlockDriverState> {
  return yield* blkdebugOpen({
    nodeName,
    readOnly,
    image: yield* openRef(options.image),
    ...(options.config === undefined ? {} : { config: options.config }),
    injectError: options["inject-error"] ?? [],
    setState: (options["set-state"] ?? []).map(({ new_state: newState, ...rest }) => ({
      ...rest,
      newState,
    })),
    align: options.align ?? 0,
    maxTransfer: options["max-transfer"] ?? 0,
    optWriteZero: options["opt-write-zero"] ?? 0,
    maxWriteZero: options["max-write-zero"] ?? 0,
    optDiscard: options["opt-discard"] ?? 0,
    maxDiscard: options["max-discard"] ?? 0,
    takeChildPerms: permissionBits(options["take-child-perms"] ?? []),
    unshareChildPerms: permissionBits(options["unshare-child-perms"] ?? []),
  });
}

/** cbw_open. Polls. */
function* openCopyBeforeWrite(
  options: Extract<FilterOptions, { readonly driver: "copy-before-write" }>,
  { nodeName, readOnly, openRef }: FilterContext,
): Polls<BlockDriverState> {
  const { bitmap, "on-cbw-error": onCbwError, "cbw-timeout": cbwTimeout } = options;
  const file = yield* openRef(options.file);
  const target = yield* settle(() => openRef(options.target));
  if (!target.ok) {
    yield* bdrvUnref(file);
    throw target.error;
  }
  return yield* copyBeforeWriteOpen({
    ...{ nodeName, readOnly, file, target: target.value },
    ...(bitmap === undefined ? {} : { bitmap: () => dirtyBitmapLookup(bitmap) }),
    ...(onCbwError === undefined ? {} : { onCbwError }),
    ...(cbwTimeout === undefined ? {} : { cbwTimeout }),
  });
}

/** nbd_open, and of nbd_process_options what is about TLS. Polls. */
function* openNbd(
  options: Extract<FilterOptions, { readonly driver: "nbd" }>,
  { nodeName, readOnly }: FilterContext,
): Polls<BlockDriverState> {
  const { "x-dirty-bitmap": dirtyBitmap, "tls-creds": credsId } = options;
  const server = socketAddressOf(options.server);
  const creds = credsId === undefined ? null : getTlsCreds(credsId, "client");
  const hostname = options["tls-hostname"] ?? (server.type === "inet" ? server.host : null);
  let users = creds === null ? 0 : 1;
  const release = (): void => {
    if (creds !== null && users-- > 0) credsUnref(creds);
  };
  const opened = yield* settle(() =>
    nbdOpen({
      nodeName,
      readOnly,
      server,
      exportName: options.export ?? "",
      reconnectDelay: options["reconnect-delay"] ?? 0,
      openTimeout: options["open-timeout"] ?? 0,
      ...(creds === null ? {} : { tls: { creds: creds.handle, hostname }, onClose: release }),
      ...(dirtyBitmap === undefined ? {} : { dirtyBitmap }),
    }),
  );
  if (opened.ok) return opened.value;
  release();
  throw opened.error;
}

/** QAPI: BlockPermission. */
const PERMISSIONS = {
  "consistent-read": BLK_PERM_CONSISTENT_READ,
  write: BLK_PERM_WRITE,
  "write-unchanged": BLK_PERM_WRITE_UNCHANGED,
  resize: BLK_PERM_RESIZE,
} as const;

function permissionBits(names: readonly (keyof typeof PERMISSIONS)[]): number {
  return names.reduce((bits, name) => bits | PERMISSIONS[name], 0);
}
