// What a node is opened with, as QEMU keeps it (C: a flattened QDict): dotted names, simple values.
//
// Options of a child that was made for its parent alone carry the child's name in front (`backing.read-only`); a child that
// is a node of its own is named by its node-name (`backing: "other"`), and null says that there shall be none. State only:
// what a reopen does with options is in reopen-queue.ts and the files beside it.

import { assert, EINVAL } from "../base/index.ts";
import { BlockError } from "./block-error.ts";
import type { BlockDriverState } from "./state.ts";

/** The value of an option. */
export type BlockOptionValue = string | number | boolean | null;

/** Options by name; a new object for each change. */
export type BlockOptions = Readonly<Record<string, BlockOptionValue>>;

/** A node in a reopen queue (C: BDRVReopenState). */
export interface ReopenState {
  readonly bs: BlockDriverState;
  /** All options that it will have, and those of them that were given. */
  options: BlockOptions;
  explicitOptions: BlockOptions;
  /** Options that nobody has dealt with; a driver takes out what it understands. What is left must be as it was. */
  remaining: BlockOptions;
  /** It will not be written to. */
  readOnly: boolean;
  /** Options that are not given are to be reset, and `backing` is not given. */
  backingMissing: boolean;
  /** The children that the reopen takes away, for the permissions of what they leave behind. */
  oldBackingBs: BlockDriverState | null;
  oldFileBs: BlockDriverState | null;
  /** The driver's own staged state. */
  opaque: unknown;
}

/** qdict_del: `options` without `name`. Common. */
export function withoutOption(options: BlockOptions, name: string): BlockOptions {
  const { [name]: _gone, ...rest } = options;
  return rest;
}

/** qdict_extract_subqdict: the options that start with `prefix`, without it, and the others. Common. */
export function splitOptions(
  options: BlockOptions,
  prefix: string,
): { readonly inside: BlockOptions; readonly outside: BlockOptions } {
  assert(prefix.endsWith("."), "a prefix of options ends with a dot");
  const inside: Record<string, BlockOptionValue> = {};
  const outside: Record<string, BlockOptionValue> = {};
  for (const [name, value] of Object.entries(options)) {
    if (name.startsWith(prefix)) inside[name.slice(prefix.length)] = value;
    else outside[name] = value;
  }
  return { inside, outside };
}

/** qdict_haskey: whether `options` has `name`, be it null. Common. */
export function hasOption(options: BlockOptions, name: string): boolean {
  return Object.hasOwn(options, name);
}

/** What becomes of writes of zeroes: nothing, requests for zeroes, or such as may free what they cover (QAPI: detect-zeroes). */
export type DetectZeroes = "off" | "on" | "unmap";

/** bdrv_parse_detect_zeroes (block.c:1122): what a node with `options` does about them; BlockError. Common. */
export function detectZeroesOf(options: BlockOptions): DetectZeroes {
  const asked = options["detect-zeroes"] ?? "off";
  if (asked !== "off" && asked !== "on" && asked !== "unmap")
    throw new BlockError(EINVAL, `Invalid parameter '${asked}'`);
  if (asked === "unmap" && !unmapOf(options))
    throw new BlockError(
      EINVAL,
      "setting detect-zeroes to unmap is not allowed without setting discard operation to unmap",
    );
  return asked;
}

/**
 * bdrv_parse_discard_flags (block.c:1178): whether a node with `options` lets discards through. Common. Differs from QEMU: yes,
 * where they do not say; there it is no.
 */
export function unmapOf(options: BlockOptions): boolean {
  const { discard } = options;
  return discard !== "ignore" && discard !== "off";
}

/** What is done with the host's cache (QAPI: BlockdevCacheOptions). */
export interface CacheOptions {
  /** Past it (O_DIRECT). */
  readonly direct: boolean;
  /** What is in it is not asked to be on the disk: flushes end here. */
  readonly noFlush: boolean;
}

/** What is done where nobody says otherwise. */
export const CACHED: CacheOptions = { direct: false, noFlush: false };

/** update_flags_from_options (block.c:1556): what a node with `options` does with the host's cache. Common. */
export function cacheOf(options: BlockOptions): CacheOptions {
  const isOn = (name: string): boolean => options[name] === true || options[name] === "on";
  return { direct: isOn("cache.direct"), noFlush: isOn("cache.no-flush") };
}

/** update_options_from_flags (block.c:1587): as options. Common. */
export function cacheAsOptions({ direct, noFlush }: CacheOptions): BlockOptions {
  return { "cache.direct": direct, "cache.no-flush": noFlush };
}
