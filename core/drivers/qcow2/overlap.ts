// Before the image is written to: whether the write would hit metadata, which no correct image lets happen. What is looked at are the
// user's choice (overlap-check) and what is in memory; refcount blocks and the L2 tables of snapshots are looked up in the file, once.
// Differs from QEMU, which has all of the L1 table in memory: L2 tables are known that some request has come by.

import { assert } from "../../base/index.ts";
import type { BlockDriverState } from "../../graph/state.ts";
import { nodeBehind } from "../../io/inserted.ts";
import { bdrvGetlength } from "../../io/length.ts";
import { site } from "../../probe/index.ts";
import { type Co, coChain, ioCode, settled } from "../../sched/index.ts";
import { signalCorruption } from "./corrupt.ts";
import { join64, OFFSET_HIGH_MASK, OFFSET_LOW_MASK } from "./format.ts";
import { imageFile, writeMetadata } from "./metadata-io.ts";
import { OVERLAP_BITS, OVERLAP_KINDS, type OverlapKind } from "./options.ts";
import { type Qcow2State, stateOf } from "./state.ts";
import { ENTRY_BYTES, PAGE_ENTRIES, PagedTable } from "./table.ts";
import { tableGet } from "./table-io.ts";

const SITE_CHECK = site("qcow2_pre_write_overlap_check");
const SITE_WRITE = site("qcow2_write_checked");

/** C: metadata_ol_names. */
const NAMES: Readonly<Record<OverlapKind, string>> = {
  "main-header": "qcow2_header",
  "active-l1": "active L1 table",
  "active-l2": "active L2 table",
  "refcount-table": "refcount table",
  "refcount-block": "refcount block",
  "snapshot-table": "snapshot table",
  "inactive-l1": "inactive L1 table",
  "inactive-l2": "inactive L2 table",
  "bitmap-directory": "bitmap directory",
};

/**
 * qcow2_pre_write_overlap_check: 0 when a write of the range hits no metadata but that of the kind `own`; else a negated errno, and the
 * image is corrupt. Under the lock.
 */
export function preWriteOverlapCheck(
  bs: BlockDriverState,
  offset: number,
  bytes: number,
  own: OverlapKind | null = null,
): Co<number> {
  ioCode(bs.aioContext, SITE_CHECK);
  assert(bytes > 0, "a write is of something");
  const state = stateOf(bs);
  const checks = state.overlapCheck & ~(own === null ? 0 : OVERLAP_BITS[own]);
  if (isKnown(state, checks)) return judge(bs, checks, offset, bytes);
  return coChain(learn(bs, checks), (ret) =>
    ret < 0 ? settled(ret) : judge(bs, checks, offset, bytes),
  );
}

/** Whether a write of guest data is known to hit no metadata, without a look at the file. Common. */
export function isKnownToHitNothing(state: Qcow2State, offset: number, bytes: number): boolean {
  const { overlapCheck } = state;
  return isKnown(state, overlapCheck) && firstHit(state, overlapCheck, offset, bytes) === null;
}

/** What `checks` look at is in memory. */
function isKnown(state: Qcow2State, checks: number): boolean {
  return (
    ((checks & OVERLAP_BITS["inactive-l2"]) === 0 || state.inactiveL2Clusters !== null) &&
    ((checks & OVERLAP_BITS["refcount-block"]) === 0 || state.refcountBlocksKnown)
  );
}

/** Have in memory what `checks` look at. 0 or a negated errno. */
function* learn(bs: BlockDriverState, checks: number): Co<number> {
  const state = stateOf(bs);
  if ((checks & OVERLAP_BITS["inactive-l2"]) !== 0 && state.inactiveL2Clusters === null) {
    const ret = yield* loadInactiveL2(bs);
    if (ret < 0) return ret;
  }
  if ((checks & OVERLAP_BITS["refcount-block"]) !== 0 && !state.refcountBlocksKnown) {
    const ret = yield* learnRefcountBlocks(bs);
    if (ret < 0) return ret;
  }
  return 0;
}

function judge(bs: BlockDriverState, checks: number, offset: number, bytes: number): Co<number> {
  const kind = firstHit(stateOf(bs), checks, offset, bytes);
  if (kind === null) return settled(0);
  const what = `Preventing invalid write on metadata (overlaps with ${NAMES[kind]})`;
  return signalCorruption(bs, what, { offset, bytes });
}

function firstHit(
  state: Qcow2State,
  checks: number,
  offset: number,
  bytes: number,
): OverlapKind | null {
  for (const kind of OVERLAP_KINDS)
    if ((checks & OVERLAP_BITS[kind]) !== 0 && hits(state, kind, offset, bytes)) return kind;
  return null;
}

/** Write metadata of the kind `own` where nothing else is; 0 or a negated errno. */
export function* writeChecked(
  bs: BlockDriverState,
  offset: number,
  data: Uint8Array,
  own: OverlapKind | null = null,
): Co<number> {
  ioCode(bs.aioContext, SITE_WRITE);
  const ret = yield* preWriteOverlapCheck(bs, offset, data.length, own);
  return ret < 0 ? ret : yield* writeMetadata(bs, offset, data);
}

/** Whether a write of the range touches a cluster with metadata of that kind. */
function hits(state: Qcow2State, kind: OverlapKind, offset: number, bytes: number): boolean {
  const { clusterBytes, header, l1, refcountTable, snapshots } = state;
  const first = Math.floor(offset / clusterBytes);
  const end = Math.ceil((offset + bytes) / clusterBytes);
  const touches = (at: number, length: number): boolean =>
    length > 0 && at < end * clusterBytes && at + length > first * clusterBytes;
  const isIn = (clusters: ReadonlySet<number>): boolean => {
    for (let cluster = first; cluster < end; cluster++) if (clusters.has(cluster)) return true;
    return false;
  };
  switch (kind) {
    case "main-header":
      return offset < clusterBytes;
    case "active-l1":
      return touches(l1.offset, l1.entries * ENTRY_BYTES);
    case "active-l2":
      return isIn(state.l2Clusters);
    case "refcount-table":
      return touches(refcountTable.offset, refcountTable.entries * ENTRY_BYTES);
    case "refcount-block":
      return isIn(state.refcountClusters);
    case "snapshot-table":
      return touches(header.snapshotsOffset, state.snapshotTableBytes);
    case "inactive-l1":
      return snapshots.some(({ l1Offset, l1Size }) => touches(l1Offset, l1Size * ENTRY_BYTES));
    case "inactive-l2":
      return state.inactiveL2Clusters !== null && isIn(state.inactiveL2Clusters);
    case "bitmap-directory":
      return (
        header.bitmaps !== null &&
        touches(header.bitmaps.directoryOffset, header.bitmaps.directoryBytes)
      );
  }
}

/** The part of the refcount table that counts what the file has by now is in memory: a page of it, or a few. 0 or a negated errno. */
function* learnRefcountBlocks(bs: BlockDriverState): Co<number> {
  const state = stateOf(bs);
  const { refcountTable, refcountBlockEntries, clusterBytes } = state;
  const length = bdrvGetlength(nodeBehind(imageFile(bs), SITE_CHECK));
  if (length < 0) return length;
  const used = Math.ceil(length / (refcountBlockEntries * clusterBytes));
  const end = Math.min(used, refcountTable.entries);
  for (let index = 0; index < end; index += PAGE_ENTRIES) {
    const entry = yield* tableGet(bs, refcountTable, index);
    if (typeof entry === "number") return entry;
  }
  state.refcountBlocksKnown = true;
  return 0;
}

/** Snapshots stay as they are while the image is open. 0 or a negated errno. */
function* loadInactiveL2(bs: BlockDriverState): Co<number> {
  const state = stateOf(bs);
  const clusters = new Set<number>();
  for (const { l1Offset, l1Size } of state.snapshots) {
    const l1 = new PagedTable(l1Offset, l1Size);
    for (let i = 0; i < l1Size; i++) {
      const entry = yield* tableGet(bs, l1, i);
      if (typeof entry === "number") return entry;
      const offset = join64(entry.high & OFFSET_HIGH_MASK, entry.low & OFFSET_LOW_MASK);
      if (offset !== 0) clusters.add(Math.floor(offset / state.clusterBytes));
    }
  }
  state.inactiveL2Clusters = clusters;
  return 0;
}
