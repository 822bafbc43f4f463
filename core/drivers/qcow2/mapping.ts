// Where guest data is: a range of the guest's disk to a run of bytes of one kind.

import { assert, must } from "../../base/index.ts";
import type { BlockDriverState } from "../../graph/state.ts";
import { site } from "../../probe/index.ts";
import { type Co, coChain, ioCode, settled } from "../../sched/index.ts";
import { type ClusterEntry, getEntry } from "./l2.ts";
import { type Qcow2State, stateOf } from "./state.ts";

const SITE_MAP = site("qcow2_get_host_offset");

/** What a run of guest bytes is. */
export type ExtentKind = "unallocated" | "zero" | "data" | "compressed";

/** A run of guest bytes of one kind. */
export interface Extent {
  readonly kind: ExtentKind;
  readonly bytes: number;
  /**
   * Where its first byte is; null where nothing has a place. What has one and is no data may get it there. Of a compressed run, which
   * is within one cluster: where the cluster's data is.
   */
  readonly host: number | null;
  readonly compressedBytes: number;
}

/** Where data, plain or compressed, is. Common. */
export function placeOf({ host }: Extent): number {
  return must(host, "data has a place");
}

/** The kind of subcluster `index` of a cluster. Common. */
export function kindOf(entry: ClusterEntry, index: number): ExtentKind {
  if (entry.compressed) return "compressed";
  if (((entry.zero >>> index) & 1) !== 0) return "zero";
  return ((entry.allocated >>> index) & 1) !== 0 ? "data" : "unallocated";
}

/**
 * qcow2_get_host_offset: the run that begins at `offset`, at most `bytes` long and within one slice of an L2 table; or a negated
 * errno. Under the lock.
 */
export function mapRange(bs: BlockDriverState, offset: number, bytes: number): Co<Extent | number> {
  ioCode(bs.aioContext, SITE_MAP);
  assert(bytes > 0, "a range has bytes");
  const state = stateOf(bs);
  const { clusterBytes } = state;
  const first = Math.floor(offset / clusterBytes);
  return coChain(getEntry(bs, first), (entry) => {
    if (typeof entry === "number") return settled<Extent | number>(entry);
    const start = offset - first * clusterBytes;
    const run = runIn(state, entry, start, bytes);
    if (run.kind === "compressed" || run.bytes === bytes) return settled(run);
    return goOn(bs, { offset, bytes }, first, run);
  });
}

/** The run that begins in cluster `first`, as far as it goes. */
function* goOn(
  bs: BlockDriverState,
  { offset, bytes }: { readonly offset: number; readonly bytes: number },
  first: number,
  begun: Extent,
): Co<Extent | number> {
  const state = stateOf(bs);
  const { clusterBytes } = state;
  let run = begun;
  const perSlice = state.l2Cache.sliceBytes / state.l2EntryBytes;
  const end = first - (first % perSlice) + perSlice;
  // While a run reaches the end of its cluster, it may go on in the next one.
  for (let cluster = first + 1; cluster < end; cluster++) {
    const reached = cluster * clusterBytes - offset;
    if (run.bytes < reached || run.bytes === bytes) break;
    const next = yield* getEntry(bs, cluster);
    if (typeof next === "number") return next;
    const more = runIn(state, next, 0, bytes - run.bytes);
    if (more.kind !== run.kind) break;
    if (more.host !== (run.host === null ? null : run.host + run.bytes)) break;
    run = longer(run, more.bytes);
  }
  return run;
}

function longer({ kind, bytes, host, compressedBytes }: Extent, more: number): Extent {
  return { kind, bytes: bytes + more, host, compressedBytes };
}

/** The run from byte `start` of a cluster on, within it. Common. */
export function runIn(
  state: Qcow2State,
  entry: ClusterEntry,
  start: number,
  bytes: number,
): Extent {
  const { subclusterBytes, clusterBytes } = state;
  const first = Math.floor(start / subclusterBytes);
  const kind = kindOf(entry, first);
  let last = first;
  while (last + 1 < state.subclusters && kindOf(entry, last + 1) === kind) last++;
  const end = kind === "compressed" ? clusterBytes : (last + 1) * subclusterBytes;
  return {
    kind,
    bytes: Math.min(bytes, end - start),
    host: entry.host === null || kind === "compressed" ? entry.host : entry.host + start,
    compressedBytes: entry.compressedBytes,
  };
}
