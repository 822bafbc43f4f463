// Internal snapshots: listed, and preserved, since their counts keep everyone from writing to what they share. This driver makes
// none and does not go back to any.

import { EFBIG, EINVAL, strerror } from "../../base/index.ts";
import { BlockError } from "../../graph/block-error.ts";
import type { BlockDriverState } from "../../graph/state.ts";
import { site } from "../../probe/index.ts";
import { type Co, ioCode } from "../../sched/index.ts";
import { join64, L1_BYTES_MAX } from "./format.ts";
import { readMetadata } from "./metadata-io.ts";
import { stateOf } from "./state.ts";

const SITE_READ = site("qcow2_read_snapshots");
const SITE_LIST = site("qcow2_snapshot_list");

/** C: QCowSnapshot. */
export interface Qcow2Snapshot {
  readonly id: string;
  readonly name: string;
  readonly l1Offset: number;
  readonly l1Size: number;
  readonly dateSeconds: number;
  readonly dateNanoseconds: number;
  /** How long the guest had run. */
  readonly vmClockNs: number;
  /** Instructions that it had executed; null when nobody counted. */
  readonly icount: number | null;
  readonly vmStateBytes: number;
  /** Of the guest's disk when the snapshot was taken; null when the image does not say. */
  readonly diskBytes: number | null;
}

const ENTRY_BYTES = 40;
/** Bytes of one entry at most: its strings have two bytes of length each, and QEMU allows 1024 bytes of extra data. */
const EXTRA_BYTES_MAX = 1024;

/** qcow2_snapshot_list. */
export function qcow2SnapshotList(bs: BlockDriverState): readonly Qcow2Snapshot[] {
  ioCode(bs.aioContext, SITE_LIST);
  return stateOf(bs).snapshots;
}

/** C: QCOW_MAX_SNAPSHOTS_SIZE: the whole table. */
const TABLE_BYTES_MAX = 1024 * 65_536;

/** qcow2_read_snapshots: those of the image, or why they cannot be had. */
export function* readSnapshots(bs: BlockDriverState): Co<Qcow2Snapshot[] | BlockError> {
  ioCode(bs.aioContext, SITE_READ);
  const { header } = stateOf(bs);
  const snapshots: Qcow2Snapshot[] = [];
  let at = header.snapshotsOffset;
  while (snapshots.length < header.snapshotCount) {
    const number = snapshots.length;
    if (at === 0) return new BlockError(EINVAL, "Snapshot table offset invalid");
    const fixed = yield* readMetadata(bs, at, ENTRY_BYTES);
    if (typeof fixed === "number") return unreadable(fixed);
    const bytes = entryBytes(fixed);
    if (bytes === null)
      return new BlockError(EINVAL, `Too much extra metadata in snapshot table entry ${number}`);
    if (at + bytes - header.snapshotsOffset > TABLE_BYTES_MAX)
      return new BlockError(EFBIG, "Snapshot table is too big");
    const entry = yield* readMetadata(bs, at, bytes);
    if (typeof entry === "number") return unreadable(entry);
    const snapshot = parseSnapshot(entry);
    if (!isL1Possible(snapshot, stateOf(bs).clusterBytes))
      return new BlockError(EINVAL, `Snapshot table entry ${number} has no valid L1 table`);
    snapshots.push(snapshot);
    at += Math.ceil(bytes / 8) * 8;
  }
  stateOf(bs).snapshotTableBytes = at - header.snapshotsOffset;
  return snapshots;
}

function unreadable(ret: number): BlockError {
  return new BlockError(-ret, `Failed to read snapshot table: ${strerror(-ret)}`);
}

function isL1Possible({ l1Offset, l1Size }: Qcow2Snapshot, clusterBytes: number): boolean {
  return l1Size * 8 <= L1_BYTES_MAX && l1Offset !== 0 && l1Offset % clusterBytes === 0;
}

/** Length of an entry without its padding; null when it cannot be. */
function entryBytes(fixed: Uint8Array<ArrayBuffer>): number | null {
  const view = new DataView(fixed.buffer, fixed.byteOffset);
  const extra = view.getUint32(36);
  if (extra > EXTRA_BYTES_MAX) return null;
  return ENTRY_BYTES + extra + view.getUint16(12) + view.getUint16(14);
}

function parseSnapshot(entry: Uint8Array<ArrayBuffer>): Qcow2Snapshot {
  const view = new DataView(entry.buffer, entry.byteOffset, entry.byteLength);
  const extra = view.getUint32(36);
  const idAt = ENTRY_BYTES + extra;
  const nameAt = idAt + view.getUint16(12);
  const text = new TextDecoder();
  const wide = (offset: number) => join64(view.getUint32(offset), view.getUint32(offset + 4));
  return {
    id: text.decode(entry.subarray(idAt, nameAt)),
    name: text.decode(entry.subarray(nameAt, nameAt + view.getUint16(14))),
    l1Offset: wide(0),
    l1Size: view.getUint32(8),
    dateSeconds: view.getUint32(16),
    dateNanoseconds: view.getUint32(20),
    vmClockNs: wide(24),
    icount: extra >= 24 && wide(56) < 2 ** 63 ? wide(56) : null,
    vmStateBytes: extra >= 8 ? wide(40) : view.getUint32(32),
    diskBytes: extra >= 16 ? wide(48) : null,
  };
}
