// The numbers of the NBD protocol, named as in its document (NetworkBlockDevice/nbd, doc/proto.md).

export const NBDMAGIC = 0x4e42_444d_4147_4943n;
export const IHAVEOPT = 0x4948_4156_454f_5054n;
export const NBD_REP_MAGIC = 0x0003_e889_0455_65a9n;
export const NBD_REQUEST_MAGIC = 0x2560_9513;
export const NBD_SIMPLE_REPLY_MAGIC = 0x6744_6698;
export const NBD_STRUCTURED_REPLY_MAGIC = 0x668e_33ef;

/** Handshake flags of the server, and of the client. */
export const NBD_FLAG_FIXED_NEWSTYLE = 1;
export const NBD_FLAG_NO_ZEROES = 2;
export const NBD_FLAG_C_FIXED_NEWSTYLE = 1;
export const NBD_FLAG_C_NO_ZEROES = 2;

/** Transmission flags: what an export can do. */
export const NBD_FLAG_HAS_FLAGS = 1 << 0;
export const NBD_FLAG_READ_ONLY = 1 << 1;
export const NBD_FLAG_SEND_FLUSH = 1 << 2;
export const NBD_FLAG_SEND_FUA = 1 << 3;
export const NBD_FLAG_SEND_TRIM = 1 << 5;
export const NBD_FLAG_SEND_WRITE_ZEROES = 1 << 6;
export const NBD_FLAG_SEND_DF = 1 << 7;
export const NBD_FLAG_CAN_MULTI_CONN = 1 << 8;
export const NBD_FLAG_SEND_CACHE = 1 << 10;
export const NBD_FLAG_SEND_FAST_ZERO = 1 << 11;

export const NBD_OPT_EXPORT_NAME = 1;
export const NBD_OPT_ABORT = 2;
export const NBD_OPT_LIST = 3;
export const NBD_OPT_STARTTLS = 5;
export const NBD_OPT_INFO = 6;
export const NBD_OPT_GO = 7;
export const NBD_OPT_STRUCTURED_REPLY = 8;
export const NBD_OPT_LIST_META_CONTEXT = 9;
export const NBD_OPT_SET_META_CONTEXT = 10;

/** What options are called in errors (C: nbd_opt_lookup). */
export const OPTION_NAMES: ReadonlyMap<number, string> = new Map([
  [NBD_OPT_EXPORT_NAME, "export name"],
  [NBD_OPT_ABORT, "abort"],
  [NBD_OPT_LIST, "list"],
  [NBD_OPT_STARTTLS, "starttls"],
  [NBD_OPT_INFO, "info"],
  [NBD_OPT_GO, "go"],
  [NBD_OPT_STRUCTURED_REPLY, "structured reply"],
  [NBD_OPT_LIST_META_CONTEXT, "list meta context"],
  [NBD_OPT_SET_META_CONTEXT, "set meta context"],
]);

export const NBD_REP_ACK = 1;
export const NBD_REP_SERVER = 2;
export const NBD_REP_INFO = 3;
export const NBD_REP_META_CONTEXT = 4;
export const NBD_REP_ERR_UNSUP = 0x8000_0001;
export const NBD_REP_ERR_POLICY = 0x8000_0002;
export const NBD_REP_ERR_INVALID = 0x8000_0003;
export const NBD_REP_ERR_TLS_REQD = 0x8000_0005;
export const NBD_REP_ERR_UNKNOWN = 0x8000_0006;
export const NBD_REP_ERR_BLOCK_SIZE_REQD = 0x8000_0008;

export const NBD_INFO_EXPORT = 0;
export const NBD_INFO_NAME = 1;
export const NBD_INFO_DESCRIPTION = 2;
export const NBD_INFO_BLOCK_SIZE = 3;

export const NBD_CMD_READ = 0;
export const NBD_CMD_WRITE = 1;
export const NBD_CMD_DISC = 2;
export const NBD_CMD_FLUSH = 3;
export const NBD_CMD_TRIM = 4;
export const NBD_CMD_CACHE = 5;
export const NBD_CMD_WRITE_ZEROES = 6;
export const NBD_CMD_BLOCK_STATUS = 7;

/** What commands are called in errors (C: nbd_cmd_lookup). */
export const COMMAND_NAMES: ReadonlyMap<number, string> = new Map([
  [NBD_CMD_READ, "read"],
  [NBD_CMD_WRITE, "write"],
  [NBD_CMD_DISC, "disconnect"],
  [NBD_CMD_FLUSH, "flush"],
  [NBD_CMD_TRIM, "trim"],
  [NBD_CMD_CACHE, "cache"],
  [NBD_CMD_WRITE_ZEROES, "write zeroes"],
  [NBD_CMD_BLOCK_STATUS, "block status"],
]);

export const NBD_CMD_FLAG_FUA = 1 << 0;
export const NBD_CMD_FLAG_NO_HOLE = 1 << 1;
export const NBD_CMD_FLAG_DF = 1 << 2;
export const NBD_CMD_FLAG_REQ_ONE = 1 << 3;
export const NBD_CMD_FLAG_FAST_ZERO = 1 << 4;

export const NBD_REPLY_FLAG_DONE = 1;
export const NBD_REPLY_TYPE_NONE = 0;
export const NBD_REPLY_TYPE_OFFSET_DATA = 1;
export const NBD_REPLY_TYPE_OFFSET_HOLE = 2;
export const NBD_REPLY_TYPE_BLOCK_STATUS = 5;
export const NBD_REPLY_TYPE_ERROR = 0x8001;

/** Of a context `qemu:dirty-bitmap:NAME`. */
export const NBD_STATE_DIRTY = 1;
export const NBD_STATE_HOLE = 1;
export const NBD_STATE_ZERO = 2;

/** Errors on the wire: Linux' numbers, but only these. */
export const NBD_EPERM = 1;
export const NBD_EIO = 5;
export const NBD_ENOMEM = 12;
export const NBD_EINVAL = 22;
export const NBD_ENOSPC = 28;
export const NBD_ENOTSUP = 95;
export const NBD_ESHUTDOWN = 108;

/** Sizes of the fixed parts. */
export const NBD_OPTION_BYTES = 16;
export const NBD_OPTION_REPLY_BYTES = 20;
export const NBD_REQUEST_BYTES = 28;
export const NBD_SIMPLE_REPLY_BYTES = 16;
export const NBD_CHUNK_BYTES = 20;

/** Longest name, description or query (the document's limit on strings). */
export const NBD_STRING_BYTES_MAX = 4096;
/** Most bytes of one request's payload, and of one option's (C: NBD_MAX_BUFFER_SIZE). */
export const NBD_BUFFER_BYTES_MAX = 32 * 1024 * 1024;
