// QAPI: BlockdevOptionsQcow2, but for the nodes below.

import {
  ENCRYPTION_FORMATS,
  type EncryptionFormat,
  OVERLAP_KINDS,
  OVERLAP_MODES,
  type OverlapCheck,
  type Qcow2Options,
} from "#core/drivers";
import {
  alternate,
  bool,
  enumOf,
  int,
  optional,
  type QapiType,
  sizeIn,
  str,
  struct,
  union,
} from "./qmp/schema.ts";

const mode = enumOf(...OVERLAP_MODES);
const flags = struct({
  template: optional(mode),
  ...Object.fromEntries(OVERLAP_KINDS.map((kind) => [kind, optional(bool)])),
});

/** QAPI: BlockdevQcow2Encryption. No image that is encrypted can be opened; what is said of one is judged first, as in QEMU. */
const keySecret = { "key-secret": optional(str) } as const;
const encryption = union({ format: enumOf(...ENCRYPTION_FORMATS) }, "format", {
  aes: keySecret,
  luks: keySecret,
});

export const QCOW2_MEMBERS = {
  "lazy-refcounts": optional(bool),
  "pass-discard-request": optional(bool),
  "pass-discard-snapshot": optional(bool),
  "pass-discard-other": optional(bool),
  "overlap-check": optional(alternate("Qcow2OverlapChecks", mode, flags) as QapiType<OverlapCheck>),
  "cache-size": optional(sizeIn()),
  "l2-cache-size": optional(sizeIn()),
  "l2-cache-entry-size": optional(sizeIn()),
  "refcount-cache-size": optional(sizeIn()),
  "cache-clean-interval": optional(int()),
  encrypt: optional(encryption),
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
  readonly encrypt?: { readonly format: EncryptionFormat; readonly "key-secret"?: string };
}

/** The driver's options. */
export function qcow2OptionsOf(options: Qcow2BlockdevOptions): Qcow2Options {
  const named: Record<keyof Qcow2Options, unknown> = {
    cacheBytes: options["cache-size"],
    l2CacheBytes: options["l2-cache-size"],
    l2CacheEntryBytes: options["l2-cache-entry-size"],
    refcountCacheBytes: options["refcount-cache-size"],
    cacheCleanSeconds: options["cache-clean-interval"],
    cacheCleanDefault: CACHE_CLEAN_SECONDS,
    lazyRefcounts: options["lazy-refcounts"],
    passDiscardRequest: options["pass-discard-request"],
    passDiscardSnapshot: options["pass-discard-snapshot"],
    passDiscardOther: options["pass-discard-other"],
    overlapCheck: options["overlap-check"],
    encryptFormat: options.encrypt?.format,
  };
  const said = Object.entries(named).filter(([, value]) => value !== undefined);
  return Object.fromEntries(said) as Qcow2Options;
}

/** C: DEFAULT_CACHE_CLEAN_INTERVAL. */
const CACHE_CLEAN_SECONDS = 600;
