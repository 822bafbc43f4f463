// What may be chosen when an image is opened, and what follows from it and from the image (C: qcow2_update_options).

import { EINVAL } from "../../base/index.ts";
import { BlockError } from "../../graph/block-error.ts";
import type { BlockOptions } from "../../graph/block-options.ts";
import * as format from "./format.ts";
import type { EncryptionFormat, Qcow2Header } from "./header.ts";

/** Kinds of metadata that a write may be kept from (QAPI: Qcow2OverlapCheckFlags), as bits: the first that fits is named. */
export const OVERLAP_BITS = {
  "main-header": 1,
  "active-l1": 2,
  "active-l2": 4,
  "refcount-table": 8,
  "refcount-block": 16,
  "snapshot-table": 32,
  "inactive-l1": 64,
  "inactive-l2": 128,
  "bitmap-directory": 256,
} as const;

export type OverlapKind = keyof typeof OVERLAP_BITS;
export const OVERLAP_KINDS = Object.keys(OVERLAP_BITS) as readonly OverlapKind[];

/** QAPI: Qcow2OverlapCheckMode. */
export const OVERLAP_MODES = ["none", "constant", "cached", "all"] as const;
export type OverlapMode = (typeof OVERLAP_MODES)[number];

/** QAPI: Qcow2OverlapChecks. */
export type OverlapCheck =
  | OverlapMode
  | ({ readonly template?: OverlapMode } & Readonly<Partial<Record<OverlapKind, boolean>>>);

/** What the user may choose when the image is opened (QAPI: BlockdevOptionsQcow2). */
export interface Qcow2Options {
  /** Of the two caches together. */
  readonly cacheBytes?: number;
  readonly l2CacheBytes?: number;
  readonly l2CacheEntryBytes?: number;
  readonly refcountCacheBytes?: number;
  /** How often what was not used meanwhile leaves the caches; 0 for never. */
  readonly cacheCleanSeconds?: number;
  /** The same where the user says nothing, now or when the node is reopened; 0 by default. */
  readonly cacheCleanDefault?: number;
  readonly lazyRefcounts?: boolean;
  /** Whether the file hears of what was discarded; by default when the node lets discards through. */
  readonly passDiscardRequest?: boolean;
  /** The same for what deleting a snapshot frees; there is no such operation here. */
  readonly passDiscardSnapshot?: boolean;
  /** The same for what is freed otherwise; by default it does not. */
  readonly passDiscardOther?: boolean;
  readonly overlapCheck?: OverlapCheck;
  /** How the image is encrypted, in the eyes of the user: none that is can be opened. */
  readonly encryptFormat?: EncryptionFormat;
}

/** How the members of Qcow2Options are called by users, but for those that `overlapCheck` has. */
const OPTION_NAMES = {
  cacheBytes: "cache-size",
  l2CacheBytes: "l2-cache-size",
  l2CacheEntryBytes: "l2-cache-entry-size",
  refcountCacheBytes: "refcount-cache-size",
  cacheCleanSeconds: "cache-clean-interval",
  lazyRefcounts: "lazy-refcounts",
  passDiscardRequest: "pass-discard-request",
  passDiscardSnapshot: "pass-discard-snapshot",
  passDiscardOther: "pass-discard-other",
  encryptFormat: "encrypt.format",
} as const;

/** Options of an image that a reopen can change, or leave out and so reset (C: mutable_opts). */
export const QCOW2_OPTION_NAMES: readonly string[] = [
  ...Object.values(OPTION_NAMES),
  ...["overlap-check", "overlap-check.template"],
  ...OVERLAP_KINDS.map((kind) => `overlap-check.${kind}`),
];

/** What a flat list of options says of an image; `before` has the defaults of whoever opened it. Common. */
export function qcow2OptionsFrom(flat: BlockOptions, before: Qcow2Options): Qcow2Options {
  const named = Object.entries(OPTION_NAMES).flatMap(([member, name]) => {
    const value = flat[name];
    return value === undefined ? [] : [[member, value] as const];
  });
  const { cacheCleanDefault } = before;
  const overlapCheck = overlapCheckFrom(flat);
  return {
    ...(Object.fromEntries(named) as Qcow2Options),
    ...(cacheCleanDefault === undefined ? {} : { cacheCleanDefault }),
    ...(overlapCheck === undefined ? {} : { overlapCheck }),
  };
}

function overlapCheckFrom(flat: BlockOptions): OverlapCheck | undefined {
  const whole = flat["overlap-check"];
  if (whole !== undefined) return whole as OverlapMode;
  const given = ["template", ...OVERLAP_KINDS].flatMap((part) => {
    const value = flat[`overlap-check.${part}`];
    return value === undefined ? [] : [[part, value] as const];
  });
  return given.length === 0 ? undefined : (Object.fromEntries(given) as OverlapCheck);
}

/** The same the other way round: what a reopen finds of a node that was opened with `options`. Common. */
export function flatOptionsOf(options: Qcow2Options): BlockOptions {
  const flat: Record<string, BlockOptions[string]> = {};
  for (const [member, name] of Object.entries(OPTION_NAMES)) {
    const value = options[member as keyof typeof OPTION_NAMES];
    if (value !== undefined) flat[name] = value;
  }
  const { overlapCheck } = options;
  if (typeof overlapCheck === "string") flat["overlap-check"] = overlapCheck;
  else
    for (const [part, value] of Object.entries(overlapCheck ?? {}))
      flat[`overlap-check.${part}`] = value;
  return flat;
}

/** How often the caches are cleaned, in seconds; 0 for never. Common. */
export function cacheCleanSecondsOf(options: Qcow2Options): number {
  return options.cacheCleanSeconds ?? options.cacheCleanDefault ?? 0;
}

/** Sizes of the caches, in bytes. */
export interface CacheSizes {
  readonly l2Bytes: number;
  readonly l2EntryBytes: number;
  readonly refcountBytes: number;
}

/** Clusters of reference counts that are cached at least. */
const REFCOUNT_CLUSTERS_MIN = 4;
const UINT_MAX = 2 ** 32 - 1;
const INT_MAX = 2 ** 31 - 1;

/** read_cache_sizes: how large the caches of an image are; BlockError, as QEMU says it. Common. */
export function cacheSizes(header: Qcow2Header, options: Qcow2Options): CacheSizes {
  const clusterBytes = 2 ** header.clusterBits;
  const { l2CacheEntryBytes: asked } = options;
  const whole = wholeL2Bytes(header, clusterBytes);
  const { l2Bytes, refcountBytes } = splitOf(options, whole, clusterBytes);
  // What does not fit as a whole comes and goes in small pieces.
  const byDefault = l2Bytes < whole ? Math.min(clusterBytes, format.SLICE_BYTES_MAX) : clusterBytes;
  const l2EntryBytes = asked ?? byDefault;
  if (
    l2EntryBytes < 512 ||
    l2EntryBytes > clusterBytes ||
    !Number.isInteger(Math.log2(l2EntryBytes))
  )
    refuse(
      `L2 cache entry size must be a power of two between 512 and the cluster size (${clusterBytes})`,
    );
  if (Math.floor(l2Bytes / l2EntryBytes) > INT_MAX) refuse("L2 cache size too big");
  if (Math.floor(refcountBytes / clusterBytes) > INT_MAX) refuse("Refcount cache size too big");
  // By default a table is looked at in pieces here, also where QEMU takes it as a whole.
  const entryBytes = asked ?? Math.min(clusterBytes, format.SLICE_BYTES_MAX);
  return { l2Bytes, l2EntryBytes: entryBytes, refcountBytes };
}

/** Bytes of all L2 tables of the disk. */
function wholeL2Bytes(header: Qcow2Header, clusterBytes: number): number {
  const entries = Math.ceil(header.size / clusterBytes) * (header.hasSubclusters ? 16 : 8);
  return Math.ceil(entries / clusterBytes) * clusterBytes;
}

/** How the two caches share what there is. */
function splitOf(
  { cacheBytes, l2CacheBytes, refcountCacheBytes }: Qcow2Options,
  whole: number,
  clusterBytes: number,
): { l2Bytes: number; refcountBytes: number } {
  const l2Bytes = Math.min(whole, l2CacheBytes ?? format.L2_CACHE_BYTES_MAX);
  if (cacheBytes === undefined)
    return { l2Bytes, refcountBytes: refcountCacheBytes ?? format.REFCOUNT_CACHE_BYTES };
  if (l2CacheBytes !== undefined && refcountCacheBytes !== undefined)
    refuse("cache-size, l2-cache-size and refcount-cache-size may not be set at the same time");
  if (l2CacheBytes !== undefined && l2CacheBytes > cacheBytes)
    refuse("l2-cache-size may not exceed cache-size");
  if (refcountCacheBytes !== undefined && refcountCacheBytes > cacheBytes)
    refuse("refcount-cache-size may not exceed cache-size");
  if (l2CacheBytes !== undefined) return { l2Bytes, refcountBytes: cacheBytes - l2Bytes };
  if (refcountCacheBytes !== undefined)
    return { l2Bytes: cacheBytes - refcountCacheBytes, refcountBytes: refcountCacheBytes };
  const least = REFCOUNT_CLUSTERS_MIN * clusterBytes;
  const forL2 = cacheBytes >= whole + least ? whole : cacheBytes - Math.min(cacheBytes, least);
  return { l2Bytes: forL2, refcountBytes: cacheBytes - forL2 };
}

/** qcow2_update_options_prepare, of what is no cache: BlockError. Common. */
export function checkOptions(header: Qcow2Header, options: Qcow2Options): void {
  if ((options.cacheCleanSeconds ?? 0) > UINT_MAX) refuse("Cache clean interval too big");
  if (options.lazyRefcounts === true && header.version < 3)
    refuse("Lazy refcounts require a qcow2 image with at least qemu 1.1 compatibility level");
  // The header of one that is encrypted has been refused.
  if (options.encryptFormat !== undefined)
    refuse(
      `No encryption in image header, but options specified format '${options.encryptFormat}'`,
    );
}

const CONSTANT: readonly OverlapKind[] = [
  "main-header",
  "active-l1",
  "refcount-table",
  "snapshot-table",
  "bitmap-directory",
];
const CACHED: readonly OverlapKind[] = [...CONSTANT, "active-l2", "refcount-block", "inactive-l1"];
const TEMPLATES: Readonly<Record<OverlapMode, readonly OverlapKind[]>> = {
  none: [],
  constant: CONSTANT,
  cached: CACHED,
  all: OVERLAP_KINDS,
};

/** OVERLAP_BITS of what a write may not hit. Common. */
export function overlapBits(check: OverlapCheck = "cached"): number {
  const flags = typeof check === "string" ? { template: check } : check;
  const template = TEMPLATES[flags.template ?? "cached"];
  let bits = 0;
  for (const kind of OVERLAP_KINDS) {
    const isOn = (flags as Partial<Record<OverlapKind, boolean>>)[kind] ?? template.includes(kind);
    if (isOn) bits |= OVERLAP_BITS[kind];
  }
  return bits;
}

function refuse(message: string): never {
  throw new BlockError(EINVAL, message);
}
