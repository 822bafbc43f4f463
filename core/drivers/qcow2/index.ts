export { type Qcow2StoredBitmap, qcow2StoredBitmaps } from "./bitmap-load.ts";
export { checkRefcounts, type Qcow2CheckResult } from "./check.ts";
export { type Qcow2CreateOptions, qcow2Create } from "./create.ts";
export { qcow2Driver } from "./driver.ts";
export {
  ENCRYPTION_FORMATS,
  type EncryptionFormat,
  parseHeader,
  type Qcow2Header,
} from "./header.ts";
export { type Qcow2OpenOptions, qcow2Open } from "./open.ts";
export { OVERLAP_KINDS, OVERLAP_MODES, type OverlapCheck, type Qcow2Options } from "./options.ts";
export { type Qcow2Snapshot, qcow2SnapshotList } from "./snapshots.ts";
