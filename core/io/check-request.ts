// What every request must satisfy before it touches a node: a range that exists and a buffer that holds it.

import { assert, EIO } from "../base/index.ts";
import type { Qiov } from "../graph/state.ts";
import { site } from "../probe/index.ts";
import { ioCode } from "../sched/index.ts";
import { BDRV_LENGTH_MAX, BDRV_REQUEST_MAX_BYTES } from "./limits.ts";

const SITE_CHECK_REQUEST = site("bdrv_check_qiov_request");
const SITE_CHECK_REQUEST32 = site("bdrv_check_request32");

/** bdrv_check_qiov_request (io.c:962): 0, or -EIO for a range or a buffer that nothing can have. */
export function bdrvCheckRequest(offset: number, bytes: number, qiov: Qiov | null): number {
  ioCode(null, SITE_CHECK_REQUEST);
  assert(Number.isSafeInteger(offset), "offsets are whole numbers");
  assert(Number.isSafeInteger(bytes), "byte counts are whole numbers");
  if (offset < 0 || bytes < 0) return -EIO;
  if (offset > BDRV_LENGTH_MAX - bytes) return -EIO;
  if (qiov === null) return 0;
  if (qiov.start < 0 || qiov.start > qiov.buffer.length) return -EIO;
  return bytes > qiov.buffer.length - qiov.start ? -EIO : 0;
}

/** bdrv_check_request32 (io.c:1027): as bdrvCheckRequest, and -EIO for more bytes than one request moves. */
export function bdrvCheckRequest32(offset: number, bytes: number, qiov: Qiov | null): number {
  ioCode(null, SITE_CHECK_REQUEST32);
  assert(Number.isSafeInteger(bytes), "byte counts are whole numbers");
  const checked = bdrvCheckRequest(offset, bytes, qiov);
  if (checked < 0) return checked;
  return bytes > BDRV_REQUEST_MAX_BYTES ? -EIO : 0;
}
