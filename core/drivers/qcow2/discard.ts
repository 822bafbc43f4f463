// Telling the file what the guest does not need any more (pass-discard-request and -other).

import { assert } from "../../base/index.ts";
import { BDRV_REQ_MAY_UNMAP, type BlockDriverState } from "../../graph/state.ts";
import { bdrvCoPdiscard } from "../../io/discard.ts";
import { bdrvCoPwriteZeroes } from "../../io/write-zeroes.ts";
import { site } from "../../probe/index.ts";
import { type Co, ioCode } from "../../sched/index.ts";
import { imageFile } from "./metadata-io.ts";
import { type FreeReason, stateOf } from "./state.ts";

const SITE_PASSES = site("qcow2_discard_passthrough");
const SITE_DISCARDS = site("qcow2_process_discards");
const SITE_DATA_FILE = site("qcow2_discard_data_file");

/** C: s->discard_passthrough. */
export function passesDiscard(bs: BlockDriverState, reason: FreeReason): boolean {
  ioCode(bs.aioContext, SITE_PASSES);
  const { options } = stateOf(bs);
  switch (reason) {
    case "request":
      return options.passDiscardRequest ?? bs.unmap;
    case "other":
      return options.passDiscardOther ?? false;
    case "overwritten":
      return false;
  }
}

/**
 * qcow2_process_discards: these clusters are counted by nobody, and no table on the disk names them. Under the lock, so that nobody is
 * given one of them meanwhile. That the file cannot is no error.
 */
export function* discardClusters(bs: BlockDriverState, clusters: number[]): Co<void> {
  ioCode(bs.aioContext, SITE_DISCARDS);
  const { clusterBytes } = stateOf(bs);
  clusters.sort((a, b) => a - b);
  for (let i = 0; i < clusters.length; ) {
    const first = clusters[i] ?? 0;
    let count = 1;
    while (clusters[i + count] === first + count) count++;
    yield* bdrvCoPdiscard(imageFile(bs), first * clusterBytes, count * clusterBytes);
    i += count;
  }
}

/**
 * What is to read as zeroes, and may be freed if `flags` say so, is at the same place in a data file. A raw one has to read as the guest's
 * disk does, so it gets zeroes. 0 or a negated errno. Differs from QEMU, where a raw one keeps old data if it is not told of discards.
 */
export function* zeroDataFile(
  bs: BlockDriverState,
  offset: number,
  bytes: number,
  flags: number,
): Co<number> {
  ioCode(bs.aioContext, SITE_DATA_FILE);
  const { dataFile, header, size } = stateOf(bs);
  assert(bytes > 0, "something becomes zeroes");
  // Where the disk is to grow, so is the file.
  const inside = Math.min(offset + bytes, size) - offset;
  if (dataFile === null || inside <= 0) return 0;
  if (header.dataFileRaw) return yield* bdrvCoPwriteZeroes(dataFile, offset, inside, flags);
  const isFree = (flags & BDRV_REQ_MAY_UNMAP) !== 0;
  if (isFree && passesDiscard(bs, "request")) yield* bdrvCoPdiscard(dataFile, offset, inside);
  return 0;
}
