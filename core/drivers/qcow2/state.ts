// The state of an open qcow2 image (C: BDRVQcow2State). Behaviour is in the files beside it.
//
// Everything here is guarded by `lock`, which is held while tables are looked at or changed, and not while guest data moves.

import { assert } from "../../base/index.ts";
import type { BdrvChild, BlockDriverState } from "../../graph/state.ts";
import { CoMutex, CoQueue, type Timer } from "../../sched/index.ts";
import { OFFSET_LOW_MASK, SLICE_BYTES_MAX, SUBCLUSTERS } from "./format.ts";
import type { Qcow2Header } from "./header.ts";
import { cacheSizes, checkOptions, overlapBits, type Qcow2Options } from "./options.ts";
import { SliceCache } from "./slice-cache.ts";
import type { Qcow2Snapshot } from "./snapshots.ts";
import { PagedTable } from "./table.ts";

/** A write that has its clusters and is not in the tables yet (C: QCowL2Meta): requests to the same clusters wait for it. */
export class InFlightAllocation {
  /** Guest clusters that it covers. */
  readonly firstCluster: number;
  readonly clusters: number;
  readonly dependents = new CoQueue();

  constructor(firstCluster: number, clusters: number) {
    assert(clusters > 0, "an allocation covers a cluster at least");
    this.firstCluster = firstCluster;
    this.clusters = clusters;
  }
}

/** A cluster that no table names any more, once the tables are on the disk. */
export interface PendingFree {
  readonly cluster: number;
  /** Requests for guest data with a lower number may still be at work in it. */
  readonly before: number;
  readonly reason: FreeReason;
}

/** Why a cluster is freed, which decides whether the file hears of it (C: enum qcow2_discard_type, without what is always or never). */
export type FreeReason = "request" | "other" | "overwritten";

export class Qcow2State {
  header: Qcow2Header;
  readonly clusterBytes: number;
  readonly clusterBits: number;
  /** Bytes of an L2 entry, and how many an L2 table has. */
  readonly l2EntryBytes: number;
  readonly l2Entries: number;
  readonly subclusters: number;
  readonly subclusterBytes: number;
  /** Bits of a reference count, and how many a refcount block has. */
  readonly refcountBits: number;
  readonly refcountMax: number;
  readonly refcountBlockEntries: number;
  readonly lock = new CoMutex();
  /** A reopen makes new ones, when they are to be of another size. */
  l2Cache: SliceCache;
  refcountCache: SliceCache;
  l1: PagedTable;
  refcountTable: PagedTable;
  snapshots: readonly Qcow2Snapshot[] = [];
  /** Bytes of the table of snapshots in the file. */
  snapshotTableBytes = 0;
  /** Bytes of the guest's disk. */
  size: number;
  /** Where guest data is, if not in the image itself. Set when opened. */
  dataFile: BdrvChild | null = null;
  /** No lower cluster of the file is known to be free. */
  freeCluster = 0;
  readonly allocations: InFlightAllocation[] = [];
  readonly pendingFrees: PendingFree[] = [];
  /** Requests for guest data that are under way, by number, oldest first. */
  readonly dataRequests = new Set<number>();
  dataRequestsBegun = 0;
  /** Where the next compressed cluster goes when it fits behind the last one; 0 for nowhere. */
  compressedEnd = 0;
  /** These three are changed by a reopen (reopen.ts). */
  lazyRefcounts: boolean;
  options: Qcow2Options;
  /** OVERLAP_BITS of what no write may hit. */
  overlapCheck: number;
  /** Clusters that active L2 tables and refcount blocks are in, as far as the tables that name them are in memory. */
  readonly l2Clusters = new Set<number>();
  readonly refcountClusters = new Set<number>();
  /** Nothing of the table that names the latter is left to be looked at. */
  refcountBlocksKnown = false;
  /** The same of the L2 tables of snapshots; null before somebody had to know. */
  inactiveL2Clusters: ReadonlySet<number> | null = null;
  cleanTimer: Timer | null = null;
  /** What must be done before anyone writes was done (prepare.ts). */
  preparedToWrite = false;
  /** There is a place for more clusters than the file has on the disk: data may be a hole there. Null: nobody has looked. */
  metadataPreallocation: boolean | null = null;
  /** The tables contradict themselves: nothing is read or written any more. */
  corrupt = false;
  /** Somebody was told that they do. */
  signaledCorruption = false;

  /** BlockError when the options do not fit the image. */
  constructor(header: Qcow2Header, options: Qcow2Options) {
    const { clusterBits } = header;
    this.header = header;
    this.clusterBits = clusterBits;
    this.clusterBytes = 2 ** clusterBits;
    this.l2EntryBytes = header.hasSubclusters ? 16 : 8;
    this.l2Entries = this.clusterBytes / this.l2EntryBytes;
    this.subclusters = header.hasSubclusters ? SUBCLUSTERS : 1;
    this.subclusterBytes = this.clusterBytes / this.subclusters;
    this.refcountBits = 2 ** header.refcountOrder;
    this.refcountMax = Math.min(2 ** this.refcountBits - 1, Number.MAX_SAFE_INTEGER);
    this.refcountBlockEntries = (this.clusterBytes * 8) / this.refcountBits;
    const { l2Cache, refcountCache } = cachesFor(header, options);
    this.l2Cache = l2Cache;
    this.refcountCache = refcountCache;
    this.options = options;
    this.overlapCheck = overlapBits(options.overlapCheck);
    this.l1 = new PagedTable(header.l1Offset, header.l1Size);
    const tableEntries = (header.refcountTableClusters * this.clusterBytes) / 8;
    this.refcountTable = new PagedTable(header.refcountTableOffset, tableEntries);
    this.size = header.size;
    this.lazyRefcounts = lazyRefcountsOf(header, options);
    assert(OFFSET_LOW_MASK > 0, "masks of words are positive");
  }
}

/** Empty caches for an image, as large as its options say; BlockError when those do not fit it. Common. */
export function cachesFor(
  header: Qcow2Header,
  options: Qcow2Options,
): { readonly l2Cache: SliceCache; readonly refcountCache: SliceCache } {
  const caches = cacheSizes(header, options);
  checkOptions(header, options);
  const sliceBytes = Math.min(2 ** header.clusterBits, SLICE_BYTES_MAX);
  return {
    l2Cache: new SliceCache(caches.l2EntryBytes, caches.l2Bytes),
    refcountCache: new SliceCache(sliceBytes, caches.refcountBytes),
  };
}

/** C: s->use_lazy_refcounts. Common. */
export function lazyRefcountsOf(header: Qcow2Header, options: Qcow2Options): boolean {
  return header.version >= 3 && (options.lazyRefcounts ?? header.lazyRefcounts);
}

/** C: bs->opaque of a qcow2 node. Common. */
export function stateOf(bs: BlockDriverState): Qcow2State {
  assert(bs.opaque instanceof Qcow2State, "the node is a qcow2 image");
  return bs.opaque;
}
