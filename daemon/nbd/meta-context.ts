// Metadata contexts: what a client can ask about ranges, besides what is in them.
//
// `base:allocation` says what is a hole and what reads as zero; `qemu:allocation-depth` how many layers down the chain the data is,
// 0 where it is nowhere; `qemu:dirty-bitmap:NAME` what is dirty in an exported bitmap. Extents are found by asking the block layer from the front of the range; neighbours that say the same are one.

import { type BlockBackend, blkCoBlockStatusAbove } from "#core/backend";
import { assert, must } from "#core/base";
import { type BdrvDirtyBitmap, withDirtyBitmapsLock } from "#core/bitmaps";
import { BDRV_BLOCK_ALLOCATED, BDRV_BLOCK_DATA, BDRV_BLOCK_ZERO } from "#core/graph";
import type { Co } from "#core/sched";
import type { MessageReader } from "./channel.ts";
import { NBD_EXTENTS_MAX, NBD_META_QUERIES_MAX } from "./limits.ts";
import {
  NBD_STATE_DIRTY,
  NBD_STATE_HOLE,
  NBD_STATE_ZERO,
  NBD_STRING_BYTES_MAX,
} from "./protocol.ts";

/** A context that there is, with its number on the wire; for a bitmap, which one. */
export type MetaContext = { readonly id: number } & (
  | { readonly name: "base:allocation" | "qemu:allocation-depth"; readonly bitmap: null }
  | { readonly name: `qemu:dirty-bitmap:${string}`; readonly bitmap: BdrvDirtyBitmap }
);

/** The contexts of an export that has these bitmaps, and tells how deep data is or does not. */
export function metaContextsOf(
  bitmaps: readonly BdrvDirtyBitmap[],
  allocationDepth: boolean,
): readonly MetaContext[] {
  const depth: MetaContext = { id: 1, name: "qemu:allocation-depth", bitmap: null };
  return [
    { id: 0, name: "base:allocation", bitmap: null },
    ...(allocationDepth ? [depth] : []),
    ...bitmaps.map((bitmap, index): MetaContext => {
      const name = must(bitmap.name, "what is exported has a name");
      return { id: 2 + index, name: `qemu:dirty-bitmap:${name}`, bitmap };
    }),
  ];
}

/** What LIST_META_CONTEXT and SET_META_CONTEXT ask. */
export interface MetaQuery {
  readonly exportName: string;
  readonly queries: readonly string[];
}

/** nbd_negotiate_meta_queries (nbd/server.c:953): null when the lengths do not fit together, or a name is no text. */
export function parseMetaQuery(data: MessageReader): MetaQuery | null {
  const exportName = textWithLength(data);
  if (exportName === null || data.left < 4) return null;
  const count = data.u32();
  if (count > NBD_META_QUERIES_MAX) return null;
  const queries: string[] = [];
  for (let left = count; left > 0; left--) {
    const query = textWithLength(data);
    if (query === null) return null;
    queries.push(query);
  }
  return data.left === 0 ? { exportName, queries } : null;
}

function textWithLength(data: MessageReader): string | null {
  if (data.left < 4) return null;
  const bytes = data.u32();
  return bytes > NBD_STRING_BYTES_MAX || bytes > data.left ? null : data.text(bytes);
}

/** The contexts of an export that `queries` name. A listing also takes a namespace alone, `base:`, and everything when it asks nothing. */
export function matchingContexts(
  contexts: readonly MetaContext[],
  queries: readonly string[],
  isListing: boolean,
): readonly MetaContext[] {
  if (isListing && queries.length === 0) return contexts;
  return contexts.filter(({ name }) =>
    queries.some((query) => query === name || (isListing && isNamespaceOf(query, name))),
  );
}

function isNamespaceOf(query: string, name: string): boolean {
  return query.endsWith(":") && name.startsWith(query);
}

/** Bytes that are all alike. */
export interface Extent {
  length: number;
  readonly flags: number;
}

/** A range of an export. */
export interface ExtentRange {
  readonly offset: number;
  readonly length: number;
  /** One extent will do (NBD_CMD_FLAG_REQ_ONE). */
  readonly one: boolean;
}

/** blockstatus_to_extents and blockalloc_to_extents (nbd/server.c:2101): from the front of the range; or a negated errno. Common. */
export function* extentsOf(
  blk: BlockBackend,
  context: MetaContext,
  range: ExtentRange,
): Co<readonly Extent[] | number> {
  const { offset, length, one } = range;
  if (context.bitmap !== null) return bitmapExtents(context.bitmap, range);
  const extents: Extent[] = [];
  for (let at = 0; at < length; ) {
    const status = yield* blkCoBlockStatusAbove(blk, offset + at, length - at);
    if (status.ret < 0) return status.ret;
    assert(status.pnum > 0, "inside an image, some bytes are alike");
    if (!add(extents, { length: status.pnum, flags: flagsOf(context, status.ret, status.depth) }))
      break;
    at += status.pnum;
    if (one && extents.length > 1) break;
  }
  return one ? extents.slice(0, 1) : extents;
}

/** bitmap_to_extents (nbd/server.c:2247): what is dirty in the range, and what is not. Under the mutex of the node's bitmaps. */
function bitmapExtents(
  bitmap: BdrvDirtyBitmap,
  { offset, length, one }: ExtentRange,
): readonly Extent[] {
  const extents: Extent[] = [];
  const end = offset + length;
  withDirtyBitmapsLock(bitmap.bs, () => {
    for (let at = offset; at < end; ) {
      const dirty = bitmap.bitmap.nextDirtyArea(at, end) ?? { start: end, bytes: 0 };
      if (dirty.start > at && !add(extents, { length: dirty.start - at, flags: 0 })) break;
      if (dirty.bytes > 0 && !add(extents, { length: dirty.bytes, flags: NBD_STATE_DIRTY })) break;
      at = dirty.start + dirty.bytes;
      if (one && extents.length > 1) break;
    }
  });
  return one ? extents.slice(0, 1) : extents;
}

/** nbd_extent_array_add; false when there are as many as may be. */
function add(extents: Extent[], extent: Extent): boolean {
  const last = extents.at(-1);
  if (last !== undefined && last.flags === extent.flags) {
    last.length += extent.length;
    return true;
  }
  if (extents.length >= NBD_EXTENTS_MAX) return false;
  extents.push(extent);
  return true;
}

function flagsOf({ name }: Pick<MetaContext, "name">, ret: number, depth: number): number {
  if (name === "qemu:allocation-depth") return (ret & BDRV_BLOCK_ALLOCATED) === 0 ? 0 : depth;
  const hole = (ret & BDRV_BLOCK_DATA) === 0 ? NBD_STATE_HOLE : 0;
  return hole | ((ret & BDRV_BLOCK_ZERO) === 0 ? 0 : NBD_STATE_ZERO);
}
