// QAPI: BlockdevOptions of filters, of drivers for tests, and of the NBD client.

import { BLKDEBUG_IO_TYPES } from "#core/drivers";
import { BLKDEBUG_EVENTS } from "#core/graph";
import type { BlockdevRef } from "./blockdev-options.ts";
import { flatAddress } from "./commands/export-commands.ts";
import {
  bool,
  enumOf,
  int,
  list,
  optional,
  type QapiType,
  type StructOf,
  sizeIn,
  str,
  struct,
  uint32,
} from "./qmp/schema.ts";

const int32 = int(-(2 ** 31), 2 ** 31 - 1, "int32");
const blockPermission = enumOf("consistent-read", "write", "write-unchanged", "resize");

const injectError = struct({
  event: enumOf(...BLKDEBUG_EVENTS),
  state: optional(int()),
  iotype: optional(enumOf(...BLKDEBUG_IO_TYPES)),
  errno: optional(int()),
  sector: optional(int()),
  once: optional(bool),
  immediately: optional(bool),
});

const setState = struct({
  event: enumOf(...BLKDEBUG_EVENTS),
  state: optional(int()),
  new_state: int(),
});

const BLKDEBUG = {
  config: optional(str),
  align: optional(sizeIn()),
  "max-transfer": optional(sizeIn(int32)),
  "opt-write-zero": optional(sizeIn(int32)),
  "max-write-zero": optional(sizeIn(int32)),
  "opt-discard": optional(sizeIn(int32)),
  "max-discard": optional(sizeIn(int32)),
  "inject-error": optional(list(injectError)),
  "set-state": optional(list(setState)),
  "take-child-perms": optional(list(blockPermission)),
  "unshare-child-perms": optional(list(blockPermission)),
} as const;

const NBD = {
  server: flatAddress,
  export: optional(str),
  "tls-creds": optional(str),
  "tls-hostname": optional(str),
  "x-dirty-bitmap": optional(str),
  "reconnect-delay": optional(uint32),
  "open-timeout": optional(uint32),
} as const;

const PREALLOCATE = {
  "prealloc-align": optional(sizeIn()),
  "prealloc-size": optional(sizeIn()),
} as const;

const CBW = {
  bitmap: optional(struct({ node: str, name: str })),
  "on-cbw-error": optional(enumOf("break-guest-write", "break-snapshot")),
  "cbw-timeout": optional(uint32),
} as const;

/** The members of each driver's options; `ref` is the type of a child. */
export function filterMembers(ref: QapiType<BlockdevRef>) {
  return {
    blkdebug: { image: ref, ...BLKDEBUG },
    blkverify: { test: ref, raw: ref },
    compress: { file: ref },
    "copy-before-write": { file: ref, target: ref, ...CBW },
    "copy-on-read": { file: ref, bottom: optional(str) },
    nbd: NBD,
    preallocate: { file: ref, ...PREALLOCATE },
    "snapshot-access": { file: ref },
  } as const;
}

/** The options of one driver, by name. */
export type FilterOptions =
  | { readonly driver: "blkverify"; readonly test: BlockdevRef; readonly raw: BlockdevRef }
  | { readonly driver: "compress"; readonly file: BlockdevRef }
  | { readonly driver: "copy-on-read"; readonly file: BlockdevRef; readonly bottom?: string }
  | ({ readonly driver: "blkdebug"; readonly image: BlockdevRef } & StructOf<typeof BLKDEBUG>)
  | ({ readonly driver: "preallocate"; readonly file: BlockdevRef } & StructOf<typeof PREALLOCATE>)
  | { readonly driver: "snapshot-access"; readonly file: BlockdevRef }
  | ({
      readonly driver: "copy-before-write";
      readonly file: BlockdevRef;
      readonly target: BlockdevRef;
    } & StructOf<typeof CBW>)
  | ({ readonly driver: "nbd" } & StructOf<typeof NBD>);
