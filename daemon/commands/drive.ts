// --drive: a BlockBackend with a name, which commands call a device, above an image that is opened as QEMU's -drive does it.
//
// Nobody does I/O by it: it holds its node, with the permissions of a guest's disk, so that commands with a `device` have one.

import {
  type BlockBackend,
  type BlockdevOnError,
  blkNew,
  blkNewWithBs,
  blkSetOnError,
} from "#core/backend";
import { EEXIST, EINVAL, ENOTSUP } from "#core/base";
import { bdrvOpenPath, type NamedBacking } from "#core/drivers";
import {
  BLK_PERM_ALL,
  BLK_PERM_CONSISTENT_READ,
  BLK_PERM_WRITE,
  type BlockDriverState,
  BlockError,
  bdrvSetCommonOptions,
  type CacheOptions,
  type CommonOptions,
  cacheAsOptions,
  detectZeroesOf,
} from "#core/graph";
import { bdrvEnableCopyOnRead } from "#core/io";
import { machine, type Polls } from "#core/sched";
import { blockdevOpen, openJsonImage } from "../blockdev.ts";
import { blockdevOptions } from "../blockdev-options.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "../qmp/json-value.ts";
import {
  bool,
  enumOf,
  type InputKind,
  optional,
  type QapiType,
  QmpError,
  str,
  struct,
  type TypeOf,
} from "../qmp/schema.ts";
import type { Daemon } from "../state.ts";
import { blkByName } from "./lookup.ts";

const onError = optional(enumOf("report", "ignore", "enospc", "stop", "auto"));

/** Options of the drive itself; all others are its node's. */
const OWN = {
  id: str,
  /** Where a machine has it: there is none. */
  if: optional(str),
  media: optional(str),
  index: optional(str),
  aio: optional(enumOf("threads")),
  readonly: optional(bool),
  "copy-on-read": optional(bool),
  rerror: onError,
  werror: onError,
} as const;

type Own = { readonly [K in keyof typeof OWN]: TypeOf<(typeof OWN)[K]> };

/** drive_new (blockdev.c:814). Polls. */
export function* addDrive(daemon: Daemon, value: JsonObject, kind: InputKind): Polls<void> {
  const own = Object.fromEntries(
    Object.entries(OWN).map(([name, type]) => [name, type.read(value.get(name), name, kind)]),
  ) as Own;
  const { id } = own;
  if (blkByName(id) !== null) throw new BlockError(EEXIST, `Device with id '${id}' already exists`);
  const rest = new Map(
    [...value].filter(([name]) => !Object.hasOwn(OWN, name) && name !== "cache"),
  );
  if (own.readonly !== undefined) rest.set("read-only", own.readonly ? "on" : "off");
  const { writeback, ...cache } = cacheModeOf(value.get("cache"), kind);
  const bs = rest.size === 0 ? null : yield* openNode(rest, cache, kind);
  if (own["copy-on-read"] === true && bs !== null) copyOnRead(daemon, bs);
  const blk = yield* newDrive(id, writeback, bs);
  blkSetOnError(blk, { read: own.rerror ?? "report", write: policyOf(own.werror) });
  daemon.drives.push(blk);
}

/** What reads find in backing files is written into the image; one that cannot be written to stays as it is. */
function copyOnRead(daemon: Daemon, bs: BlockDriverState): void {
  if (bs.readOnly) daemon.warn("disabling copy-on-read on read-only drive");
  else bdrvEnableCopyOnRead(bs);
}

/** What a drive does about the caches of the host: `writeback`, whether a write is over before it is on the disk. */
interface CacheMode extends CacheOptions {
  readonly writeback: boolean;
}

/** bdrv_parse_cache_mode (block.c:1198). */
const CACHE_MODES: ReadonlyMap<string, CacheMode> = new Map([
  ["none", { direct: true, noFlush: false, writeback: true }],
  ["off", { direct: true, noFlush: false, writeback: true }],
  ["directsync", { direct: true, noFlush: false, writeback: false }],
  ["writeback", { direct: false, noFlush: false, writeback: true }],
  ["unsafe", { direct: false, noFlush: true, writeback: true }],
  ["writethrough", { direct: false, noFlush: false, writeback: false }],
]);

const CACHE_MEMBERS = struct({
  direct: optional(bool),
  "no-flush": optional(bool),
  writeback: optional(bool),
});

/** `cache=MODE`, or its parts one by one (`cache.direct=on`). */
function cacheModeOf(value: JsonValue | undefined, kind: InputKind): CacheMode {
  if (typeof value === "string") {
    const mode = CACHE_MODES.get(value);
    if (mode === undefined) throw new BlockError(EINVAL, "invalid cache option");
    return mode;
  }
  const given = value === undefined ? {} : CACHE_MEMBERS.read(value, "cache", kind);
  const { direct = false, "no-flush": noFlush = false, writeback = true } = given;
  return { direct, noFlush, writeback };
}

/** QEMU's default for writes. */
function policyOf(policy: BlockdevOnError | undefined): BlockdevOnError {
  return policy ?? "enospc";
}

/** blk_new_open (block-backend.c:415): takes over the reference to `bs`. Polls. */
function* newDrive(
  name: string,
  enableWriteCache: boolean,
  bs: BlockDriverState | null,
): Polls<BlockBackend> {
  const options = { name, enableWriteCache };
  if (bs === null) return blkNew(machine.mainContext, options);
  const perm = BLK_PERM_CONSISTENT_READ | (bs.readOnly ? 0 : BLK_PERM_WRITE);
  return yield* blkNewWithBs(bs, { ...options, perm, sharedPerm: BLK_PERM_ALL });
}

/** The image: by its file, as a user would name it, or by the options of its driver. Polls. */
function* openNode(
  options: JsonObject,
  cache: CacheOptions,
  kind: InputKind,
): Polls<BlockDriverState> {
  const { path, format, others } = shorthand(options);
  if (path === null) {
    const { driver, ...rest } = Object.fromEntries(options);
    const named = new Map(Object.entries({ driver: format ?? driver ?? null, ...rest }));
    named.delete("format");
    const asked = blockdevOptions.read(named, "", kind === "keyval" ? "opts" : kind);
    const { direct, noFlush } = cache;
    return yield* blockdevOpen({ ...asked, cache: { direct, "no-flush": noFlush } });
  }
  const readOnly = optional(bool).read(others.get("read-only"), "read-only", kind);
  const { common, rest } = commonOf(others, kind);
  const { nodeName, backing } = namesOf(rest, "");
  // Refused before there is a node.
  detectZeroesOf({ ...common });
  const bs = yield* bdrvOpenPath({
    path,
    ...(format === null ? {} : { format: formatOf(format) }),
    ...(nodeName === undefined ? {} : { nodeName }),
    ...(readOnly === undefined ? {} : { readOnly }),
    ...(backing === undefined ? {} : { backing }),
    cache,
    openJson: openJsonImage,
  });
  bdrvSetCommonOptions(bs, common, cache, cacheAsOptions(cache));
  return bs;
}

/** What the node does with discards and zeroes, and all other options. */
function commonOf(
  options: JsonObject,
  kind: InputKind,
): { common: CommonOptions; rest: JsonObject } {
  const read = <T>(name: string, type: QapiType<T>): T => type.read(options.get(name), name, kind);
  const discard = read("discard", optional(enumOf("ignore", "off", "unmap", "on")));
  const common = {
    discard: discard === "unmap" || discard === "on" ? "unmap" : "ignore",
    "detect-zeroes": read("detect-zeroes", optional(enumOf("off", "on", "unmap"))) ?? "off",
  } as const;
  const rest = new Map([...options].filter(([name]) => !Object.hasOwn(common, name)));
  return { common, rest };
}

/** `file` as a path, with nothing but names beside it; `path` is null when the options are those of blockdev-add. */
function shorthand(options: JsonObject): {
  readonly path: string | null;
  readonly format: string | null;
  readonly others: JsonObject;
} {
  const file = options.get("file");
  const format = options.get("format") ?? options.get("driver");
  const isPath = typeof file === "string" && (format === undefined || isImage(format));
  return {
    path: isPath ? file : null,
    format: typeof format === "string" ? format : null,
    others: new Map([...options].filter(([name]) => !/^(file|format|driver)$/.test(name))),
  };
}

function isImage(format: JsonValue): boolean {
  return format === "raw" || format === "qcow2";
}

function formatOf(format: string): "raw" | "qcow2" {
  if (format === "raw" || format === "qcow2") return format;
  throw new BlockError(ENOTSUP, `Unknown driver '${format}'`);
}

/** `node-name`, and `backing.` with the same again for the image below. */
function namesOf(options: JsonObject, path: string): NamedBacking {
  for (const name of options.keys())
    if (!/^(node-name|backing|read-only)$/.test(name))
      throw new QmpError(`Parameter '${path}${name}' is unexpected`);
  const nodeName = options.get("node-name");
  const below = options.get("backing");
  if (below !== undefined && !isJsonObject(below))
    throw new BlockError(EINVAL, `Parameter '${path}backing' expects options of the image below`);
  return {
    ...(typeof nodeName === "string" ? { nodeName } : {}),
    ...(below === undefined ? {} : { backing: namesOf(below, `${path}backing.`) }),
  };
}
