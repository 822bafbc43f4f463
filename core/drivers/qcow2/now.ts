// Requests for data that is where the tables in memory say, done before anybody else can look: see core/io/now.ts. The range is one run
// of data in the file, of clusters whose entries are in memory; a write needs those clusters to be the image's alone.
//
// What the long way does besides leaves nothing behind: the lock is free before and after, and the number of a request for data
// (data-request.ts) matters while others are under way, which this one never is at the same time.

import { assert } from "../../base/index.ts";
import type { BlockDriverState, Qiov } from "../../graph/state.ts";
import { bdrvNowPreadv, bdrvNowPwritev } from "../../io/now.ts";
import { site } from "../../probe/index.ts";
import { ioCode } from "../../sched/index.ts";
import { knownEntry, knownTable } from "./l2.ts";
import { runIn } from "./mapping.ts";
import { isKnownToHitNothing } from "./overlap.ts";
import { dataChild } from "./read.ts";
import { type Qcow2State, stateOf } from "./state.ts";
import { clustersAtOnce } from "./write-plan.ts";

const SITE_READ = site("qcow2_now_preadv");
const SITE_WRITE = site("qcow2_now_pwritev");
const SITE_DATA = site("qcow2_now_is_data");

/** qcow2_co_preadv_part, now: 0 or a negated errno; null, and nothing has happened. */
export function qcow2NowPreadv(
  bs: BlockDriverState,
  offset: number,
  bytes: number,
  qiov: Qiov,
): number | null {
  ioCode(bs.aioContext, SITE_READ);
  assert(bytes > 0, "a request moves something");
  const state = stateOf(bs);
  const host = isFree(state) ? placeToRead(state, offset, bytes) : null;
  const below = host === null ? null : dataChild(bs).rawBs;
  if (host === null || below === null) return null;
  const ret = bdrvNowPreadv(below, host, bytes, qiov);
  if (ret !== null) state.dataRequestsBegun++;
  return ret;
}

/** qcow2_co_pwritev_part, now: 0 or a negated errno; null, and nothing has happened. */
export function qcow2NowPwritev(
  bs: BlockDriverState,
  offset: number,
  bytes: number,
  qiov: Qiov,
): number | null {
  ioCode(bs.aioContext, SITE_WRITE);
  assert(bytes > 0, "a request moves something");
  const state = stateOf(bs);
  if (!isFree(state) || state.allocations.length > 0) return null;
  const first = Math.floor(offset / state.clusterBytes);
  // All of it is one piece of a write.
  if ((first + clustersAtOnce(state, offset, bytes)) * state.clusterBytes < offset + bytes)
    return null;
  if (knownTable(state, first)?.copied !== true) return null;
  const host = placeInFile(state, offset, bytes, true);
  if (host === null) return null;
  if (state.dataFile === null && !isKnownToHitNothing(state, host, bytes)) return null;
  const ret = bdrvNowPwritev(dataChild(bs), host, bytes, qiov);
  if (ret !== null) state.dataRequestsBegun++;
  return ret;
}

/** Whether all of a range is one run of data, and no hole in the file either. */
export function qcow2NowIsData(bs: BlockDriverState, offset: number, bytes: number): boolean {
  ioCode(bs.aioContext, SITE_DATA);
  assert(bytes > 0, "a range has bytes");
  const state = stateOf(bs);
  // Where data may be a hole, the file is asked, too; and whether it may be is found out by the first who asks.
  if (!isFree(state) || state.metadataPreallocation !== false) return false;
  return placeToRead(state, offset, bytes) !== null;
}

function isFree({ corrupt, lock }: Qcow2State): boolean {
  return !corrupt && lock.holder === null;
}

/** As placeInFile, of a range that is looked up in one slice of a table: mapRange ends a run where the slice does. */
function placeToRead(state: Qcow2State, offset: number, bytes: number): number | null {
  const sliceBytes = (state.l2Cache.sliceBytes / state.l2EntryBytes) * state.clusterBytes;
  if (Math.floor(offset / sliceBytes) !== Math.floor((offset + bytes - 1) / sliceBytes))
    return null;
  return placeInFile(state, offset, bytes, false);
}

/** Where a range is in the file, if it is one run of data there, as the tables in memory say; else null. */
function placeInFile(
  state: Qcow2State,
  offset: number,
  bytes: number,
  mustBeOurs: boolean,
): number | null {
  const { clusterBytes } = state;
  let host: number | null = null;
  for (let done = 0; done < bytes; ) {
    const cluster = Math.floor((offset + done) / clusterBytes);
    const start = offset + done - cluster * clusterBytes;
    const wanted = Math.min(bytes - done, clusterBytes - start);
    const entry = knownEntry(state, cluster);
    if (entry === null || (mustBeOurs && !entry.copied)) return null;
    const run = runIn(state, entry, start, wanted);
    if (run.kind !== "data" || run.bytes < wanted || run.host === null) return null;
    host ??= run.host;
    if (run.host !== host + done) return null;
    done += wanted;
  }
  return host;
}
