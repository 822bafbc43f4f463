// The types of the fields of events, and the words of those that are enumerations. Numbers of words are part of the trace format:
// never reuse one; add a word at the end.

/** What a field's number means; it decides the text form and how a trace predicts the column. */
export type FieldType =
  | "node" // NodeId
  | "edge" // EdgeId
  | "blk" // BlkId
  | "job" // JobId
  | "ctx" // CtxId
  | "co" // CoId
  | "task" // TaskId
  | "section" // SectionId
  | "bh" // BhId
  | "timer" // TimerId
  | "op" // OpId
  | "lock" // LockId
  | "tran" // TranId
  | "wait" // WaitId
  | "site" // SiteId
  | "string" // StringId
  | "handle" // HostHandle
  | "list" // ListKind
  | "drain" // DrainKind
  | "klass" // EdgeKlass
  | "owner" // OwnerKind, says what the next field is
  | "id" // a NodeId, EdgeId, BlkId or JobId as the field before it says
  | "request" // RequestType
  | "phase" // TranPhase
  | "lockkind" // LockKind
  | "call" // HostCall
  | "status" // RunStatus
  | "jobstatus" // JobStatus
  | "count" // a number, may be negative
  | "word" // four bytes of contents, the first one highest
  | "bool" // 0 or 1
  | "ret" // >= 0, or a negated errno
  | "steps" // scheduler steps since the input before
  | "offset" // wide: byte position
  | "bytes" // wide or not: byte count
  | "ns"; // wide: nanoseconds

/** Field types that may exceed 32 bits; at most one, and the last, in an event. */
export const WIDE_TYPES: ReadonlySet<FieldType> = new Set(["offset", "ns"]);

export const LIST_KINDS = [
  "none",
  "children",
  "parents",
  "file",
  "backing",
  "edge_bs",
  "blk_root",
] as const;
export const DRAIN_KINDS = ["none", "single", "subtree", "all", "blk"] as const;
export const EDGE_KLASSES = ["none", "child_of_bds", "child_root", "child_job"] as const;
export const OWNER_KINDS = ["none", "node", "edge", "blk", "job"] as const;
export const REQUEST_TYPES = [
  "none",
  "read",
  "write",
  "flush",
  "write_zeroes",
  "discard",
  "truncate",
  "getlength",
  "copy_range",
  "other",
  "accept",
  "connect",
  "recv",
  "send",
  "handshake",
  "block_status",
  "allocate",
] as const;
export const TRAN_PHASES = ["prepare", "commit", "abort", "clean"] as const;
export const LOCK_KINDS = [
  "none",
  "aio_context",
  "bql",
  "co_mutex",
  "co_rwlock_read",
  "co_rwlock_write",
  "mutex",
] as const;
export const HOST_CALLS = [
  "none",
  "open",
  "close",
  "size",
  "alignment",
  "truncate",
  "socket",
  "secret",
  "tls_creds",
  "lock",
  "allocated",
] as const;
export const JOB_STATUSES = [
  "undefined",
  "created",
  "running",
  "paused",
  "ready",
  "standby",
  "waiting",
  "pending",
  "aborting",
  "concluded",
  "null",
] as const;
export const RUN_STATUSES = ["none", "ok", "assertion", "deadlock", "limit"] as const;

/** The words that a field of an enumerated type prints, or undefined for plain numbers. */
export const ENUM_WORDS: Readonly<Partial<Record<FieldType, readonly string[]>>> = {
  list: LIST_KINDS,
  drain: DRAIN_KINDS,
  klass: EDGE_KLASSES,
  owner: OWNER_KINDS,
  request: REQUEST_TYPES,
  phase: TRAN_PHASES,
  lockkind: LOCK_KINDS,
  call: HOST_CALLS,
  status: RUN_STATUSES,
  jobstatus: JOB_STATUSES,
};

function numbers<const W extends readonly string[]>(
  words: W,
): { readonly [K in W[number]]: number } {
  return Object.fromEntries(words.map((word, index) => [word, index])) as {
    [K in W[number]]: number;
  };
}

export const List = numbers(LIST_KINDS);
export const Drain = numbers(DRAIN_KINDS);
export const Klass = numbers(EDGE_KLASSES);
export const Owner = numbers(OWNER_KINDS);
export const Request = numbers(REQUEST_TYPES);
export const Phase = numbers(TRAN_PHASES);
export const LockKindOf = numbers(LOCK_KINDS);
export const Call = numbers(HOST_CALLS);
export const Status = numbers(RUN_STATUSES);
export const JobStatusOf = numbers(JOB_STATUSES);
