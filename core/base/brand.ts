// Branded numbers: a raw number, or a number of another table, is a compile error; at run time they are plain numbers.

declare const brand: unique symbol;
export type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** Index of a BlockDriverState, from 1 in order of creation, never reused in a run; 0 means none. */
export type NodeId = Brand<number, "node">;
/** Index of a BdrvChild, as NodeId. */
export type EdgeId = Brand<number, "edge">;
/** Index of a BlockBackend, as NodeId. */
export type BlkId = Brand<number, "blk">;
/** Index of a Job, as NodeId. */
export type JobId = Brand<number, "job">;
/** Index of an AioContext: 0 is the main context, iothreads follow. */
export type CtxId = Brand<number, "ctx">;
/** Index of a Coroutine, as NodeId. */
export type CoId = Brand<number, "co">;
/** Index of a request task (design D9), from 1; 0 is "no task". */
export type TaskId = Brand<number, "task">;
/** Index of a drained section: one drained_begin with its drained_end, from 1; 0 is none. */
export type SectionId = Brand<number, "section">;
/** Index of a bottom half. */
export type BhId = Brand<number, "bh">;
/** Index of a timer. */
export type TimerId = Brand<number, "timer">;
/** Index of an operation submitted to the host. */
export type OpId = Brand<number, "op">;
/** Index of a lock: an AioContext lock, the BQL, a CoMutex or a CoRwlock. */
export type LockId = Brand<number, "lock">;
/** Index of a Transaction. */
export type TranId = Brand<number, "tran">;
/** Index of an AIO_WAIT_WHILE in progress. */
export type WaitId = Brand<number, "wait">;
/** Index into the site table: a place in the source where a probe sits. */
export type SiteId = Brand<number, "site">;
/** Index into a trace's string table. */
export type StringId = Brand<number, "string">;
/** Handle of a file that the host holds open. */
export type HostHandle = Brand<number, "handle">;
/** Byte position in an image. */
export type ByteOffset = Brand<number, "offset">;
/** Number of bytes. */
export type ByteCount = Brand<number, "bytes">;
/** Nanoseconds of the host's clock, as the core sees them (virtual in simulation). */
export type VirtualNs = Brand<number, "ns">;
/** Position of an event in a trace, from 0. */
export type EventIndex = Brand<number, "event">;
