// QAPI: BlockdevOptionsQcow2, but for the nodes below.

import { OVERLAP_KINDS, OVERLAP_MODES, type OverlapCheck, type Qcow2Options } from "#core/drivers";
import { alternate, bool, enumOf, int, optional, type QapiType, struct } from "./qmp/schema.ts";

const mode = enumOf(...OVERLAP_MODES);
const flags = struct({
  template: optional(mode),
  ...Object.fromEntries(OVERLAP_KINDS.map((kind) => [kind, optional(bool)])),
});

export const QCOW2_MEMBERS = {
  "lazy-refcounts": optional(bool),
  "pass-discard-request": optional(bool),
  "pass-discard-snapshot": optional(bool),
  "pass-discard-other": optional(bool),
  "overlap-check": optional(alternate("Qcow2OverlapChecks", mode, flags) as QapiType<OverlapCheck>),
  "cache-size": optional(int()),
  "l2-cache-size": optional(int()),
  "l2-cache-entry-size": optional(int()),
  "refcount-cache-size": optional(int()),
  "cache-clean-interval": optional(int()),
} as const;

/** What a user may say of an image. */
export interface Qcow2BlockdevOptions {
  readonly "lazy-refcounts"?: boolean;
  readonly "pass-discard-request"?: boolean;
  readonly "pass-discard-snapshot"?: boolean;
  readonly "pass-discard-other"?: boolean;
  readonly "overlap-check"?: OverlapCheck;
  readonly "cache-size"?: number;
  readonly "l2-cache-size"?: number;
  readonly "l2-cache-entry-size"?: number;
  readonly "refcount-cache-size"?: number;
  readonly "cache-clean-interval"?: number;
}

/** The driver's options. */
export function qcow2OptionsOf(options: Qcow2BlockdevOptions): Qcow2Options {
  const named: Record<keyof Qcow2Options, unknown> = {
    cacheBytes: options["cache-size"],
    l2CacheBytes: options["l2-cache-size"],
    l2CacheEntryBytes: options["l2-cache-entry-size"],
    refcountCacheBytes: options["refcount-cache-size"],
    cacheCleanSeconds: options["cache-clean-interval"] ?? CACHE_CLEAN_SECONDS,
    lazyRefcounts: options["lazy-refcounts"],
    passDiscardRequest: options["pass-discard-request"],
    passDiscardSnapshot: options["pass-discard-snapshot"],
    passDiscardOther: options["pass-discard-other"],
    overlapCheck: options["overlap-check"],
  };
  const said = Object.entries(named).filter(([, value]) => value !== undefined);
  return Object.fromEntries(said) as Qcow2Options;
}

/** C: DEFAULT_CACHE_CLEAN_INTERVAL. */
const CACHE_CLEAN_SECONDS = 600;
