// The numbers of the NBD protocol that a client needs, named as in its document (NetworkBlockDevice/nbd, doc/proto.md), and what its
// errors are here.

import { EINVAL, EIO, ENOMEM, ENOSPC, ENOTSUP, EPERM } from "../../base/index.ts";

/** Words of 64 bits as their two halves. */
export const NBDMAGIC = [0x4e42_444d, 0x4147_4943] as const;
/** Where IHAVEOPT would be, from a server that speaks oldstyle: one export, and no options. */
export const NBD_CLIENT_MAGIC = [0x0000_4202, 0x8186_1253] as const;
export const IHAVEOPT = [0x4948_4156, 0x454f_5054] as const;
export const NBD_REP_MAGIC = [0x0003_e889, 0x0455_65a9] as const;
export const NBD_REQUEST_MAGIC = 0x2560_9513;
export const NBD_SIMPLE_REPLY_MAGIC = 0x6744_6698;
export const NBD_STRUCTURED_REPLY_MAGIC = 0x668e_33ef;

/** Handshake flags, the same for server and client. */
export const NBD_FLAG_FIXED_NEWSTYLE = 1;
export const NBD_FLAG_NO_ZEROES = 2;

export const NBD_FLAG_READ_ONLY = 1 << 1;
export const NBD_FLAG_SEND_FLUSH = 1 << 2;
export const NBD_FLAG_SEND_TRIM = 1 << 5;
export const NBD_FLAG_SEND_WRITE_ZEROES = 1 << 6;

export const NBD_OPT_EXPORT_NAME = 1;
export const NBD_OPT_ABORT = 2;
export const NBD_OPT_STARTTLS = 5;
export const NBD_OPT_GO = 7;
export const NBD_OPT_STRUCTURED_REPLY = 8;
export const NBD_OPT_SET_META_CONTEXT = 10;

export const NBD_REP_ACK = 1;
export const NBD_REP_INFO = 3;
export const NBD_REP_META_CONTEXT = 4;
export const NBD_REP_FLAG_ERROR = 0x8000_0000;
export const NBD_REP_ERR_UNSUP = 0x8000_0001;
export const NBD_REP_ERR_POLICY = 0x8000_0002;
export const NBD_REP_ERR_INVALID = 0x8000_0003;
export const NBD_REP_ERR_PLATFORM = 0x8000_0004;
export const NBD_REP_ERR_TLS_REQD = 0x8000_0005;
export const NBD_REP_ERR_UNKNOWN = 0x8000_0006;
export const NBD_REP_ERR_SHUTDOWN = 0x8000_0007;
export const NBD_REP_ERR_BLOCK_SIZE_REQD = 0x8000_0008;

export const NBD_INFO_EXPORT = 0;
export const NBD_INFO_BLOCK_SIZE = 3;

export const NBD_CMD_READ = 0;
export const NBD_CMD_WRITE = 1;
export const NBD_CMD_DISC = 2;
export const NBD_CMD_FLUSH = 3;
export const NBD_CMD_TRIM = 4;
export const NBD_CMD_WRITE_ZEROES = 6;
export const NBD_CMD_BLOCK_STATUS = 7;

export const NBD_CMD_FLAG_NO_HOLE = 1 << 1;
export const NBD_CMD_FLAG_REQ_ONE = 1 << 3;

export const NBD_REPLY_FLAG_DONE = 1;
export const NBD_REPLY_TYPE_NONE = 0;
export const NBD_REPLY_TYPE_OFFSET_DATA = 1;
export const NBD_REPLY_TYPE_OFFSET_HOLE = 2;
export const NBD_REPLY_TYPE_BLOCK_STATUS = 5;
export const NBD_REPLY_TYPE_FLAG_ERROR = 1 << 15;

export const NBD_STATE_HOLE = 1;
export const NBD_STATE_ZERO = 2;

/** Longest name, and longest text of a server's (the document's limit on strings). */
export const NBD_STRING_BYTES_MAX = 4096;
/** Most bytes of one request's payload (C: NBD_MAX_BUFFER_SIZE). */
export const NBD_BUFFER_BYTES_MAX = 32 * 1024 * 1024;
/** Requests that a client has under way (C: MAX_NBD_REQUESTS). */
export const NBD_REQUESTS_MAX = 16;

const ERRORS: ReadonlyMap<number, number> = new Map([
  [1, EPERM],
  [5, EIO],
  [12, ENOMEM],
  [22, EINVAL],
  [28, ENOSPC],
  [75, 75],
  [95, ENOTSUP],
  [108, 108],
]);

/** nbd_errno_to_system_errno (nbd/common.c): what an error on the wire means here; one that is not allowed is EINVAL. Common. */
export function nbdErrnoToSystemErrno(wire: number): number {
  return ERRORS.get(wire) ?? EINVAL;
}
