// The one door to the world (design D4): time, files and what runs next come through these two interfaces.
//
// There are three hosts: live (daemon/host), simulated (explorer) and replayed (replay). The machine asks a host two
// kinds of thing. Synchronous calls answer at once and are recorded as `host_call`. Operations are submitted. One that the host can
// do at once (the page cache has the bytes, the socket has received them) is complete with its submission, recorded as `io_now`;
// the others come back between two steps through the Inbox, recorded as `io_complete` with the rank among those outstanding.

import {
  assert,
  type ByteCount,
  type ByteOffset,
  type HostHandle,
  type OpId,
  type VirtualNs,
} from "../base/index.ts";
import type { AioContext } from "./aio-context.ts";
import type { SecretSpec, TlsCredsSpec } from "./host-tls.ts";

/** What a host call returned: `ret` >= 0 or a negated errno; `value` is the size, alignment or handle asked for, else 0. */
export interface HostResult {
  readonly ret: number;
  readonly value: number;
}

/**
 * How reads and writes of a file are carried out: by other threads, through the kernel's ring, by the calling thread, or whichever
 * of the first and the last is quicker now. A host that has not got what is asked for answers ENOTSUP.
 */
export const FILE_AIO = ["threads", "io_uring", "inline", "auto"] as const;
export type FileAio = (typeof FILE_AIO)[number];

/**
 * Locks on bytes of an open file, which belong to it and go with it. Masks: bits 0 to 7 are the bytes 100 to 107, bits 8 to 15 the
 * bytes 200 to 207. First those of `lock` are locked, shared with others; then those of `unlock` are unlocked; then it is looked at
 * whether anybody else has one of `test`, the bytes from 200 on first. ENOTSUP where there is no such lock. Of the first byte that another has locked the
 * answer's value is the bit, plus 16 for one of `test`.
 */
export interface HostLockCall {
  readonly call: "lock";
  readonly handle: HostHandle;
  readonly lock: number;
  readonly unlock: number;
  readonly test: number;
}

/** Synchronous calls on the control path. */
export type HostCallRequest =
  | {
      readonly call: "open";
      readonly path: string;
      readonly writable: boolean;
      readonly create: boolean;
      /** Absent: as the host does it. */
      readonly aio?: FileAio;
      /** Past the cache of the operating system; EINVAL where the file system cannot. */
      readonly direct?: boolean;
    }
  | { readonly call: "close"; readonly handle: HostHandle }
  | { readonly call: "size"; readonly handle: HostHandle }
  /** Bytes that the file takes on the disk. */
  | { readonly call: "allocated"; readonly handle: HostHandle }
  /** The blocks that a file is read and written in; EINVAL when none will do. */
  | { readonly call: "alignment"; readonly handle: HostHandle }
  | { readonly call: "truncate"; readonly handle: HostHandle; readonly size: ByteOffset }
  | HostLockCall
  | { readonly call: "socket"; readonly address: SocketAddress; readonly listens: boolean }
  | { readonly call: "secret"; readonly secret: SecretSpec }
  | { readonly call: "tls_creds"; readonly creds: TlsCredsSpec };

/** Where a peer is: SocketAddress of QAPI. A file descriptor is one that this process was started with. */
export type SocketAddress =
  | { readonly type: "unix"; readonly path: string }
  | { readonly type: "inet"; readonly host: string; readonly port: number }
  | { readonly type: "fd"; readonly fd: number }
  | { readonly type: "stdio" };

/**
 * Kinds of operation on a file; the words are those of the catalogue's RequestType. A `block_status` asks where the data of a range is:
 * see `hostStatusAnswer`. An `allocate` takes room on the disk for a range, which the file has then; what it had stays.
 */
export type FileOpType =
  | "read"
  | "write"
  | "flush"
  | "write_zeroes"
  | "discard"
  | "block_status"
  | "allocate";

/** Bytes that one `block_status` asks about at most, whole blocks of any size that disks have: its answer fits an event's integer. */
export const HOST_STATUS_BYTES_MAX = 2 ** 30 - 65_536;

/** What a `block_status` is completed with: how many bytes from its offset on are alike, and whether they are data. Common. */
export function hostStatusAnswer(bytes: number, isData: boolean): number {
  assert(bytes > 0 && bytes <= HOST_STATUS_BYTES_MAX, "a status is that of some of the bytes");
  return 2 * bytes + (isData ? 1 : 0);
}

/** Kinds of operation on a socket; see host-socket.ts. */
export type SocketOpType = "accept" | "connect" | "recv" | "send" | "handshake";

/** Kinds of operation that a host completes later. */
export type HostOpType = FileOpType | SocketOpType;

/** An operation on a file or socket. `iov` holds the guest's buffers: only the live and simulated host look inside. */
export interface HostOp {
  readonly id: OpId;
  readonly type: HostOpType;
  readonly handle: HostHandle;
  /** Of a recv: how many bytes must have come. Of a handshake: the handle of the credentials. */
  readonly offset: ByteOffset;
  readonly bytes: ByteCount;
  readonly iov: GuestBuffer | null;
  /** Where in `iov` the operation's bytes start. */
  readonly iovOffset: number;
}

/** A read or write of a file, without a number. */
export interface FileAccess {
  readonly type: "read" | "write";
  readonly handle: HostHandle;
  readonly offset: ByteOffset;
  readonly bytes: ByteCount;
  readonly iov: GuestBuffer | null;
  readonly iovOffset: number;
}

/** How guest data is compressed: raw deflate with a window of 4 KiB, as qcow2 has it, or a Zstandard frame. */
export type HostCodec = "zlib" | "zstd";

/**
 * Guest data to be made smaller or larger. Completes with the bytes that it became, or a negated errno: ENOSPC when they do not
 * fit, EIO for what is not compressed data, ENOTSUP for a codec that this host has not.
 */
export interface HostTransform {
  readonly id: OpId;
  readonly codec: HostCodec;
  readonly direction: "compress" | "decompress";
  readonly from: GuestBuffer;
  readonly fromStart: number;
  readonly fromBytes: number;
  readonly to: GuestBuffer;
  readonly toStart: number;
  readonly toBytes: number;
}

/**
 * Bytes to be copied from one open file to another one, or to another place of it, by the host itself. Completes with 0 or a negated errno:
 * ENOTSUP where the host cannot, or the source ends before the range does; EINVAL for ranges of one file that overlap.
 */
export interface HostCopy {
  readonly id: OpId;
  readonly from: HostHandle;
  readonly fromOffset: ByteOffset;
  readonly to: HostHandle;
  readonly toOffset: ByteOffset;
  readonly bytes: ByteCount;
}

/** Where a host puts what has arrived; the machine records it. Only valid during `Host.deliver`. */
export interface Inbox {
  /** Operation `id` is complete with `ret` (bytes moved or 0, or a negated errno). */
  complete(id: OpId, ret: number): void;
  /** The deadline of this timer has passed; false when it was deleted meanwhile (nothing is recorded then). */
  expire(timerId: number): boolean;
  /** This fd handler (of `aioSetFdHandler`) is ready; false when it was removed or is ready already. */
  fdReady(handlerId: number): boolean;
  /** Scheduler steps since the last input. */
  readonly stepsSinceInput: number;
}

/** What `Host.deliver` says: see there. */
export type Delivery = "go" | "wait" | "never";

export interface Host {
  readonly kind: "live" | "simulated" | "replayed";
  call(request: HostCallRequest): HostResult;
  /** Begin `op`. Its result when that is there at once: then the inbox never hears of it. Else null. */
  submit(op: HostOp): number | null;
  /** As `submit`, of a read or write of a file, if it is done before this returns; null, and nothing has happened, if not. */
  now?(access: FileAccess): number | null;
  transform(op: HostTransform): void;
  /** Begin a copy; the inbox hears of its end. */
  copy(op: HostCopy): void;
  /** The clock, read by the core (rarely). */
  readClock(): VirtualNs;
  /** A timer was armed, or deleted (deadline null): the host says when it expires. */
  timerArmed(timerId: number, deadlineNs: VirtualNs | null): void;
  /**
   * Called between two steps. `idle`: no context can run. Returns "go" when the machine may go on (something can run, or was
   * delivered); "wait" when the asynchronous rim must let the operating system work first; "never" when idle for ever.
   */
  deliver(inbox: Inbox, idle: boolean): Delivery;
  /** Memory for a guest. The replayed host hands out poisoned buffers. */
  allocate(bytes: ByteCount): GuestBuffer;
  /** A decision that depends on guest data: `decide` looks at the data, or (in replay) the recorded answer is returned. */
  decide(decide: () => number): number;
  /**
   * Copy `bytes` bytes of `from`, from `start` on, to `into`, 16 bytes at most: the next piece of what is being revealed. In
   * replay they come from the recording.
   */
  reveal(from: GuestBuffer, start: number, into: Uint8Array, bytes: number): void;
}

/** Picks which context takes the next step. */
export interface Scheduler {
  /** `runnable` is sorted by index and not empty; `byDefault` is what the default policy picks. Must return one of `runnable`. */
  pick(runnable: readonly AioContext[], byDefault: AioContext, stepsSinceInput: number): AioContext;
}

/** The `reveal` of hosts whose guest memory has contents. Common. */
export function copyContents(
  { data }: GuestBuffer,
  start: number,
  into: Uint8Array,
  bytes: number,
): void {
  assert(data !== null, "memory of this host has contents");
  // So few that a view of them would cost more.
  for (let i = 0; i < bytes; i++) into[i] = data[start + i] as number;
}

/** Guest memory. `data` is null when poisoned (replay): whoever looks inside without a recorded decision is stopped. */
export class GuestBuffer {
  readonly length: number;
  readonly data: Uint8Array | null;
  constructor(length: number, data: Uint8Array | null) {
    this.length = length;
    this.data = data;
  }
}
