// The events that clients are told of, with what each of them says; how often, where there is a limit to it.

import { jobStatus, jobType } from "./commands/result-types.ts";
import { bool, enumOf, int64, optional, type QapiType, str, struct } from "./qmp/schema.ts";

const operation = enumOf("read", "write");
const action = enumOf("ignore", "report", "stop");
const progress = { type: jobType, device: str, len: int64, offset: int64, speed: int64 };
const ranOut = struct(progress);
const sectors = { "sector-num": int64, "sectors-count": int64 };

/** By name. */
export const EVENTS = {
  SHUTDOWN: struct({ guest: bool, reason: enumOf("host-qmp-quit", "host-signal") }),
  BLOCK_EXPORT_DELETED: struct({ id: str }),
  BLOCK_IMAGE_CORRUPTED: struct({
    device: str,
    "node-name": optional(str),
    msg: str,
    offset: optional(int64),
    size: optional(int64),
    fatal: bool,
  }),
  BLOCK_IO_ERROR: struct({
    device: str,
    "node-name": optional(str),
    operation,
    action,
    nospace: optional(bool),
    reason: str,
  }),
  BLOCK_JOB_CANCELLED: ranOut,
  BLOCK_JOB_COMPLETED: struct({ ...progress, error: optional(str) }),
  BLOCK_JOB_ERROR: struct({ device: str, operation, action }),
  BLOCK_JOB_PENDING: struct({ type: jobType, id: str }),
  BLOCK_JOB_READY: ranOut,
  BLOCK_WRITE_THRESHOLD: struct({
    "node-name": str,
    "amount-exceeded": int64,
    "write-threshold": int64,
  }),
  DEVICE_TRAY_MOVED: struct({ device: str, id: str, "tray-open": bool }),
  JOB_STATUS_CHANGE: struct({ id: str, status: jobStatus }),
  QUORUM_FAILURE: struct({ reference: str, ...sectors }),
  QUORUM_REPORT_BAD: struct({
    type: enumOf("read", "write", "flush"),
    error: optional(str),
    "node-name": str,
    ...sectors,
  }),
} as const satisfies Readonly<Record<string, QapiType<unknown>>>;

/** The name of an event. */
export type EventName = keyof typeof EVENTS;

/** An event that comes at most once in `EVENT_RATE_NS` for each value of the member `by`, or at all where that is null. */
export const LIMITED_EVENTS: ReadonlyMap<EventName, string | null> = new Map([
  ["QUORUM_FAILURE", null],
  ["QUORUM_REPORT_BAD", "node-name"],
]);
export const EVENT_RATE_NS = 1_000_000_000;
