// What commands return, as QAPI types: what query-qmp-schema says of them, and what every answer in the tests of the daemon is read by.

import { JOB_STATUSES } from "#core/probe";
import {
  any,
  bool,
  enumOf,
  int64,
  lazy,
  list,
  optional,
  type QapiType,
  str,
  struct,
  union,
} from "../qmp/schema.ts";

export const jobType = enumOf("commit", "stream", "mirror", "backup", "create", "amend");
export const jobStatus = enumOf(...JOB_STATUSES);
export const ioStatus = enumOf("ok", "failed", "nospace");

/** QAPI: VersionInfo. */
export const versionInfo = struct({
  qemu: struct({ major: int64, minor: int64, micro: int64 }),
  package: str,
});

/** QAPI: ObjectPropertyInfo. */
export const objectPropertyInfo = struct({
  name: str,
  type: str,
  description: optional(str),
  "default-value": optional(any),
});

/** QAPI: CommandInfo. */
export const commandInfo = struct({ name: str });

/** QAPI: JobInfo. */
export const jobInfoType = struct({
  id: str,
  type: jobType,
  status: jobStatus,
  "current-progress": int64,
  "total-progress": int64,
  error: optional(str),
});

/** QAPI: BlockJobInfo. */
export const blockJobInfoType = struct({
  type: str,
  device: str,
  len: int64,
  offset: int64,
  busy: bool,
  paused: bool,
  speed: int64,
  "io-status": ioStatus,
  ready: bool,
  status: jobStatus,
  "auto-finalize": bool,
  "auto-dismiss": bool,
  error: optional(str),
});

/** QAPI: BlockExportInfo. */
export const blockExportInfo = struct({
  id: str,
  type: enumOf("nbd"),
  "node-name": str,
  "shutting-down": bool,
});

const blockPermissions = list(enumOf("consistent-read", "write", "write-unchanged", "resize"));

/** QAPI: XDbgBlockGraph. */
export const xDbgBlockGraph = struct({
  nodes: list(
    struct({
      id: int64,
      type: enumOf("block-backend", "block-job", "block-driver"),
      name: str,
    }),
  ),
  edges: list(
    struct({
      parent: int64,
      child: int64,
      name: str,
      perm: blockPermissions,
      "shared-perm": blockPermissions,
    }),
  ),
});

/** QAPI: SnapshotInfo. */
const snapshotInfoType = struct({
  id: str,
  name: str,
  "vm-state-size": int64,
  "date-sec": int64,
  "date-nsec": int64,
  "vm-clock-sec": int64,
  "vm-clock-nsec": int64,
  icount: optional(int64),
});

/** QAPI: Qcow2BitmapInfo. */
const qcow2BitmapInfo = struct({
  name: str,
  granularity: int64,
  flags: list(enumOf("in-use", "auto")),
});

/** QAPI: ImageInfoSpecific. */
const imageInfoSpecific = union({ type: enumOf("qcow2") }, "type", {
  qcow2: {
    data: struct({
      compat: str,
      "data-file": optional(str),
      "data-file-raw": optional(bool),
      "extended-l2": optional(bool),
      "lazy-refcounts": optional(bool),
      corrupt: optional(bool),
      "refcount-bits": int64,
      bitmaps: optional(list(qcow2BitmapInfo)),
      "compression-type": enumOf("zlib", "zstd"),
    }),
  },
});

/** QAPI: ImageInfo. */
const imageInfoType: QapiType<unknown> = struct({
  filename: str,
  format: str,
  "dirty-flag": optional(bool),
  "actual-size": optional(int64),
  "virtual-size": int64,
  "cluster-size": optional(int64),
  "backing-filename": optional(str),
  "full-backing-filename": optional(str),
  "backing-filename-format": optional(str),
  snapshots: optional(list(snapshotInfoType)),
  "backing-image": optional(lazy(() => imageInfoType)),
  "format-specific": optional(imageInfoSpecific),
});

/** QAPI: BlockDirtyInfo. */
const blockDirtyInfo = struct({
  name: optional(str),
  count: int64,
  granularity: int64,
  recording: bool,
  busy: bool,
  persistent: bool,
  inconsistent: optional(bool),
});

/** QAPI: BlockDeviceInfo. */
export const blockDeviceInfo = struct({
  file: str,
  "node-name": optional(str),
  ro: bool,
  drv: str,
  backing_file: optional(str),
  backing_file_depth: int64,
  encrypted: bool,
  detect_zeroes: enumOf("off", "on", "unmap"),
  bps: int64,
  bps_rd: int64,
  bps_wr: int64,
  iops: int64,
  iops_rd: int64,
  iops_wr: int64,
  image: imageInfoType,
  bps_max: optional(int64),
  bps_rd_max: optional(int64),
  bps_wr_max: optional(int64),
  iops_max: optional(int64),
  iops_rd_max: optional(int64),
  iops_wr_max: optional(int64),
  bps_max_length: optional(int64),
  bps_rd_max_length: optional(int64),
  bps_wr_max_length: optional(int64),
  iops_max_length: optional(int64),
  iops_rd_max_length: optional(int64),
  iops_wr_max_length: optional(int64),
  iops_size: optional(int64),
  group: optional(str),
  cache: struct({ writeback: bool, direct: bool, "no-flush": bool }),
  write_threshold: int64,
  "dirty-bitmaps": optional(list(blockDirtyInfo)),
});

/** QAPI: BlockInfo. */
export const blockInfoType = struct({
  device: str,
  qdev: optional(str),
  type: str,
  removable: bool,
  locked: bool,
  inserted: optional(blockDeviceInfo),
  tray_open: optional(bool),
  "io-status": optional(ioStatus),
});

/** QAPI: BlockDirtyBitmapSha256. */
export const bitmapSha256 = struct({ sha256: str });
