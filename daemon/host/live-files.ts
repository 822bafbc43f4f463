// The files of the live host.
//
// Reads beyond the end of a file are filled with zeroes. Discards, zeroes, copies and where the data is are the file system's business
// (file-holes.ts): where it has no way to do or know them, they answer ENOTSUP, and the block layer forgets a discard, writes the zeroes,
// reads and writes in place of a copy, and takes everything for data.

import fs from "node:fs";
import { performance } from "node:perf_hooks";
import { EINVAL, EISDIR, ENOTSUP, errnoFromCode, type HostHandle, must } from "#core/base";
import type {
  FileAccess,
  FileAio,
  FileOpType,
  HostCallRequest,
  HostCopy,
  HostOp,
  HostResult,
} from "#core/sched";
import { AioPolicy, hasIoUring } from "./aio.ts";
import { DirectIo } from "./direct-io.ts";
import { FileHoles } from "./file-holes.ts";
import { type FileRange, readAll, readNow, writeAll, writeNow } from "./file-io.ts";
import { lockBytes } from "./file-locks.ts";
import type { Complete } from "./live-connection.ts";
import { contentsOf, dataOf } from "./op-memory.ts";

/** What `st_blocks` counts. */
const STAT_BLOCK_BYTES = 512;

/** Calls on files. */
type FileCall = Exclude<HostCallRequest, { call: "socket" | "secret" | "tls_creds" }>;

/** An open file. */
interface LiveFile {
  readonly fd: number;
  /** It is read and written past the cache. */
  readonly direct: boolean;
  readonly aio: AioPolicy;
  readonly holes: FileHoles;
}

/** What the files need of the host. */
export interface LiveFilesOptions {
  readonly complete: Complete;
  readonly newHandle: () => HostHandle;
  /** Of files for which nothing was asked. */
  readonly aio: FileAio;
}

/** Every open file of one host, by handle. */
export class LiveFiles {
  readonly #files = new Map<number, LiveFile>();
  readonly #options: LiveFilesOptions;
  readonly #directIo = new DirectIo();

  constructor(options: LiveFilesOptions) {
    this.#options = options;
  }

  /** Carry a call out; throws the system's error. */
  call(request: FileCall): HostResult {
    if (request.call === "open") return this.#open(request);
    const { fd, direct, holes } = this.#at(request.handle);
    switch (request.call) {
      case "close":
        this.#files.delete(request.handle);
        holes.close();
        fs.closeSync(fd);
        return { ret: 0, value: 0 };
      case "lock":
        return lockBytes(fd, request);
      case "size":
        return { ret: 0, value: fs.fstatSync(fd).size };
      case "allocated":
        return { ret: 0, value: fs.fstatSync(fd).blocks * STAT_BLOCK_BYTES };
      case "alignment":
        return direct ? this.#directIo.alignmentOf(fd) : { ret: 0, value: 1 };
      case "truncate":
        fs.ftruncateSync(fd, request.size);
        return { ret: 0, value: 0 };
    }
  }

  #open(request: Extract<HostCallRequest, { call: "open" }>): HostResult {
    const { path, writable, create, direct = false, aio = this.#options.aio } = request;
    if (aio === "io_uring" && !hasIoUring()) return { ret: -ENOTSUP, value: 0 };
    const { O_RDWR, O_RDONLY, O_CREAT, O_DIRECT } = fs.constants;
    // Where there is no such flag, no file system can.
    if (direct && O_DIRECT === undefined) return { ret: -EINVAL, value: 0 };
    const access = (writable ? O_RDWR : O_RDONLY) | (direct ? O_DIRECT : 0);
    const fd = fs.openSync(path, create ? access | O_CREAT : access, 0o644);
    const stat = fs.fstatSync(fd);
    if (!stat.isFile()) {
      fs.closeSync(fd);
      return { ret: stat.isDirectory() ? -EISDIR : -EINVAL, value: 0 };
    }
    const handle = this.#options.newHandle();
    this.#files.set(handle, {
      ...{ fd, direct },
      // A disk that is always waited for is no case for the calling thread, unless that was asked for.
      aio: new AioPolicy(direct && aio === "auto" ? "threads" : aio),
      holes: new FileHoles(fd),
    });
    return { ret: 0, value: handle };
  }

  #at(handle: HostHandle): LiveFile {
    return must(this.#files.get(handle), "operations and calls go to open files");
  }

  /** Begin `op`; its result when the calling thread did it, which `mayBeNow` allows. */
  submit(op: HostOp, mayBeNow: boolean): number | null {
    const file = this.#at(op.handle);
    const { fd, aio } = file;
    const { type, bytes } = op;
    if ((type === "read" || type === "write") && mayBeNow && aio.isInline(bytes)) {
      const from = performance.now();
      const ret = file.direct
        ? this.#directIo.now(fd, op)
        : cachedNow(fd, type, dataOf(op), op.iovOffset, op);
      aio.took(performance.now() - from, bytes);
      return ret;
    }
    this.#later(op, file);
    return null;
  }

  /** The result of a read or write of what is cached, if the calling thread may do it; else null, and nothing is begun. */
  now(access: FileAccess): number | null {
    const { type, handle, bytes, iov, iovOffset } = access;
    const { fd, aio, direct } = this.#at(handle);
    if (direct || !aio.wouldBeInline(bytes)) return null;
    const data = must(iov?.data, "live memory has contents");
    const from = performance.now();
    const ret = cachedNow(fd, type, data, iovOffset, access);
    aio.took(performance.now() - from, bytes);
    return ret;
  }

  #later(op: HostOp, { fd, direct, holes }: LiveFile): void {
    const { complete } = this.#options;
    const done = (error: NodeJS.ErrnoException | null) =>
      complete(op, error === null ? 0 : -errnoFromCode(error.code));
    switch (op.type as FileOpType) {
      case "read":
        if (direct) this.#directIo.later(fd, op, done);
        else readAll(fd, contentsOf(op), op.offset, done);
        return;
      case "write":
        if (direct) this.#directIo.later(fd, op, done);
        else writeAll(fd, contentsOf(op), op.offset, done);
        return;
      case "write_zeroes":
        holes.zero(op.offset, op.bytes, (ret) => complete(op, ret));
        return;
      case "flush":
        fs.fdatasync(fd, done);
        return;
      case "discard":
        holes.punch(op.offset, op.bytes, (ret) => complete(op, ret));
        return;
      case "allocate":
        holes.allocate(op.offset, op.bytes, (ret) => complete(op, ret));
        return;
      case "block_status":
        holes.status(op.offset, op.bytes, (ret) => complete(op, ret));
        return;
    }
  }

  /** Begin a copy from file to file; `done` gets 0 or a negated errno. */
  copy({ from, fromOffset, to, toOffset, bytes }: HostCopy, done: (ret: number) => void): void {
    const source = { fd: this.#at(from).fd, offset: fromOffset };
    this.#at(to).holes.copy(toOffset, bytes, source, done);
  }

  closeAll(): void {
    for (const { fd, holes } of this.#files.values()) {
      holes.close();
      fs.closeSync(fd);
    }
    this.#files.clear();
  }
}

function cachedNow(
  fd: number,
  type: "read" | "write",
  data: Uint8Array,
  start: number,
  range: FileRange,
): number {
  return type === "read" ? readNow(fd, data, start, range) : writeNow(fd, data, start, range);
}
