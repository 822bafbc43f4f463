// Checking an image (C: qcow2_check_refcounts): how often each cluster is used, by everything that the header leads to, against
// how often it is counted.
//
// What is counted too often is a leak: space that is lost, and no more. What is counted too seldom, or named wrongly, is a
// corruption. Reads whole tables; nothing else does.

import { assert } from "../../base/index.ts";
import { BlockError } from "../../graph/block-error.ts";
import type { BlockDriverState } from "../../graph/state.ts";
import { nodeBehind } from "../../io/inserted.ts";
import { bdrvGetlength } from "../../io/length.ts";
import { site } from "../../probe/index.ts";
import { type Co, ioCode } from "../../sched/index.ts";
import { readDirectory } from "./bitmap-directory.ts";
import { readBitmapTable } from "./bitmap-table.ts";
import { join64, OFFSET_HIGH_MASK, OFFSET_LOW_MASK, OFLAG_COPIED } from "./format.ts";
import { type ClusterEntry, decodeEntry } from "./l2.ts";
import { imageFile, readMetadata } from "./metadata-io.ts";
import { getRefcount, refcountBlockOf } from "./refcount.ts";
import { type Qcow2State, stateOf } from "./state.ts";
import { ENTRY_BYTES, PagedTable } from "./table.ts";
import { tableGet } from "./table-io.ts";

const SITE_CHECK = site("qcow2_check_refcounts");
const SITE_DIFFERENCES = site("qcow2_count_differences");
const SITE_COUNT = site("qcow2_count_uses");

/** What a check found. */
export interface Qcow2CheckResult {
  /** Sentences, one for each. */
  readonly corruptions: string[];
  readonly leaks: string[];
}

/** qcow2_co_check: compare uses and counts; or a negated errno. Under the lock, with nothing in the caches that is not written. */
export function* checkRefcounts(bs: BlockDriverState): Co<Qcow2CheckResult | number> {
  ioCode(bs.aioContext, SITE_CHECK);
  const uses = yield* countUses(bs);
  if (typeof uses === "number") return uses;
  const { corruptions, counts } = uses;
  const differences = yield* differencesOf(bs, counts);
  if (typeof differences === "number") return differences;
  const leaks: string[] = [];
  for (const { cluster, counted, used } of differences) {
    const what = `cluster ${cluster} refcount=${counted} reference=${used}`;
    if (counted > used) leaks.push(`Leaked ${what}`);
    else corruptions.push(`ERROR ${what}`);
  }
  return { corruptions, leaks };
}

/** A cluster that is not counted as often as it is used. */
export interface CountDifference {
  readonly cluster: number;
  readonly counted: number;
  readonly used: number;
}

/**
 * Where counts differ from uses; or a negated errno. Looks at what there is, blocks and uses, and not at every cluster that the file
 * could have: one wrong offset makes a file as long as files can be.
 */
export function* differencesOf(
  bs: BlockDriverState,
  counts: UseCounts,
): Co<CountDifference[] | number> {
  ioCode(bs.aioContext, SITE_DIFFERENCES);
  const { refcountTable, refcountBlockEntries } = stateOf(bs);
  const differences: CountDifference[] = [];
  const compare = function* (cluster: number): Co<number> {
    const counted = yield* getRefcount(bs, cluster);
    const used = counts.get(cluster);
    if (counted >= 0 && counted !== used) differences.push({ cluster, counted, used });
    return Math.min(counted, 0);
  };
  for (let block = 0; block < refcountTable.entries; block++) {
    const entry = yield* tableGet(bs, refcountTable, block);
    if (typeof entry === "number") return entry;
    if (entry.high === 0 && entry.low === 0) continue;
    const first = block * refcountBlockEntries;
    for (let cluster = first; cluster < first + refcountBlockEntries; cluster++) {
      const ret = yield* compare(cluster);
      if (ret < 0) return ret;
    }
  }
  for (const cluster of counts.used()) {
    const block = yield* refcountBlockOf(bs, cluster);
    const ret = block === 0 ? yield* compare(cluster) : Math.min(block, 0);
    if (ret < 0) return ret;
  }
  return differences;
}

/** How often each cluster is used. */
export class UseCounts {
  readonly #counts = new Map<number, number>();
  /** No cluster from here on is used. */
  end = 0;

  get(cluster: number): number {
    return this.#counts.get(cluster) ?? 0;
  }

  /** The clusters that are used. */
  used(): number[] {
    return [...this.#counts.keys()].sort((a, b) => a - b);
  }

  /** One use more of each cluster that the range touches. */
  add(state: Qcow2State, offset: number, bytes: number): void {
    assert(bytes > 0, "something is used");
    const last = Math.floor((offset + bytes - 1) / state.clusterBytes);
    for (let at = Math.floor(offset / state.clusterBytes); at <= last; at++)
      this.#counts.set(at, this.get(at) + 1);
    this.end = Math.max(this.end, last + 1);
  }
}

/** Follow everything from the header on: how often each cluster is used, and what is wrong with what names it. */
export function* countUses(
  bs: BlockDriverState,
): Co<{ counts: UseCounts; corruptions: string[] } | number> {
  ioCode(bs.aioContext, SITE_COUNT);
  const state = stateOf(bs);
  const { header, clusterBytes, refcountTable: table } = state;
  const length = bdrvGetlength(nodeBehind(imageFile(bs), SITE_COUNT));
  if (length < 0) return length;
  const walk = new Walk(bs, state, length);
  walk.use(0, clusterBytes, "the header");
  walk.use(table.offset, table.entries * ENTRY_BYTES, "the refcount table");
  for (let i = 0; i < table.entries; i++) {
    const entry = yield* tableGet(bs, table, i);
    if (typeof entry === "number") return entry;
    const block = join64(entry.high, entry.low & OFFSET_LOW_MASK);
    if (block !== 0) walk.use(block, clusterBytes, `refcount block ${i}`);
  }
  let ret = yield* walkL1(walk, state.l1, true);
  for (const snapshot of state.snapshots) {
    if (ret < 0) break;
    const l1 = new PagedTable(snapshot.l1Offset, snapshot.l1Size);
    ret = yield* walkL1(walk, l1, false);
  }
  if (ret < 0) return ret;
  walk.use(header.snapshotsOffset, state.snapshotTableBytes, "the snapshot table");
  yield* walkBitmaps(walk);
  if (header.size > state.l1.entries * state.l2Entries * clusterBytes)
    walk.corruptions.push("ERROR the L1 table is too short");
  return { counts: walk.counts, corruptions: walk.corruptions };
}

/** A walk through an image. */
class Walk {
  readonly bs: BlockDriverState;
  readonly state: Qcow2State;
  readonly fileBytes: number;
  readonly counts = new UseCounts();
  readonly corruptions: string[] = [];

  constructor(bs: BlockDriverState, state: Qcow2State, fileBytes: number) {
    this.bs = bs;
    this.state = state;
    this.fileBytes = fileBytes;
  }

  use(offset: number, bytes: number, what: string): void {
    if (bytes === 0) return;
    const { clusterBytes } = this.state;
    if (offset % clusterBytes !== 0)
      this.corruptions.push(`ERROR ${what} is not aligned to a cluster`);
    else if (offset >= this.fileBytes)
      this.corruptions.push(`ERROR ${what} is behind the end of the file`);
    else this.counts.add(this.state, offset, bytes);
  }
}

/** qcow2_check_bitmaps_refcounts. What cannot be read is a corruption. */
function* walkBitmaps(walk: Walk): Co<void> {
  const { bs, state } = walk;
  const { bitmaps } = state.header;
  if (bitmaps === null) return;
  walk.use(bitmaps.directoryOffset, bitmaps.directoryBytes, "the bitmap directory");
  const list = yield* readDirectory(bs);
  if (list instanceof BlockError) {
    walk.corruptions.push(`ERROR ${list.message}`);
    return;
  }
  for (const bitmap of list) {
    const bytes = bitmap.tableEntries * ENTRY_BYTES;
    walk.use(bitmap.tableOffset, bytes, `the table of bitmap '${bitmap.name}'`);
    const parts = yield* readBitmapTable(bs, bitmap);
    if (typeof parts === "number")
      walk.corruptions.push(`ERROR the table of bitmap '${bitmap.name}' cannot be understood`);
    else
      for (const part of parts)
        if (typeof part === "number")
          walk.use(part, state.clusterBytes, `a cluster of bitmap '${bitmap.name}'`);
  }
}

function* walkL1(walk: Walk, l1: PagedTable, isActive: boolean): Co<number> {
  const { bs, state } = walk;
  walk.use(l1.offset, l1.entries * ENTRY_BYTES, "an L1 table");
  for (let i = 0; i < l1.entries; i++) {
    const entry = yield* tableGet(bs, l1, i);
    if (typeof entry === "number") return entry;
    const offset = join64(entry.high & OFFSET_HIGH_MASK, entry.low & OFFSET_LOW_MASK);
    if (offset === 0) continue;
    walk.use(offset, state.clusterBytes, `L2 table ${i}`);
    if (offset % state.clusterBytes !== 0) continue;
    if (isActive) {
      const copied = (entry.high & OFLAG_COPIED) !== 0;
      const ret = yield* checkCopied(walk, offset, copied, `L2 table ${i}`);
      if (ret < 0) return ret;
    }
    const ret = yield* walkL2(walk, offset, isActive);
    if (ret < 0) return ret;
  }
  return 0;
}

function* walkL2(walk: Walk, offset: number, isActive: boolean): Co<number> {
  const { bs, state } = walk;
  const table = yield* readMetadata(bs, offset, state.clusterBytes);
  if (typeof table === "number") return table;
  const view = new DataView(table.buffer, table.byteOffset, table.byteLength);
  for (let i = 0; i < state.l2Entries; i++) {
    const entry = decodeEntry(state, { view }, i * state.l2EntryBytes);
    const ret = yield* useData(walk, entry, isActive);
    if (ret < 0) return ret;
  }
  return 0;
}

function* useData(walk: Walk, entry: ClusterEntry, isActive: boolean): Co<number> {
  const { state, counts } = walk;
  if (entry.host === null || state.dataFile !== null) return 0;
  if (entry.compressed) {
    counts.add(state, entry.host, entry.compressedBytes);
    return 0;
  }
  walk.use(entry.host, state.clusterBytes, `a data cluster at ${entry.host}`);
  if ((entry.allocated & entry.zero) !== 0)
    walk.corruptions.push("ERROR a subcluster is allocated and reads as zeroes");
  if (!isActive || entry.host % state.clusterBytes !== 0) return 0;
  return yield* checkCopied(walk, entry.host, entry.copied, `a data cluster at ${entry.host}`);
}

/** Whoever says that it is used once must be right: it would be written in place. */
function* checkCopied(walk: Walk, offset: number, copied: boolean, what: string): Co<number> {
  const count = yield* getRefcount(walk.bs, offset / walk.state.clusterBytes);
  if (count < 0) return count;
  if (copied !== (count === 1))
    walk.corruptions.push(`ERROR OFLAG_COPIED of ${what}: ${copied}, refcount=${count}`);
  return 0;
}
