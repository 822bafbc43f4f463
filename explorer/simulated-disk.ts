// The modelled disk: files in memory by path, sparse in pages, with faults on purpose.
//
// A file is a size and the pages that were written; all else reads as zero. Faults are a plan given beforehand: a range
// that fails with an errno (always, or one time in n by the seed), and a size beyond which there is no space. Effects take
// place when an operation completes, hence overlapping writes land in the order of their completions.

import { assert, EINVAL, EIO, EISDIR, ENOENT, ENOSPC, ENOTSUP, type Prng } from "#core/base";
import { type FileOpType, hostStatusAnswer } from "#core/sched";

const PAGE_BYTES = 4096;

/** What a fault can hit. A copy is hit at either end. */
export type DiskOperationType = FileOpType | "copy_range";

/** Requests that fail: those of `types` (default all) that touch the range of a file whose path ends in `path`. */
export interface DiskFault {
  readonly path: string;
  readonly types?: readonly DiskOperationType[];
  readonly offset?: number;
  /** Default: to the end of all things. */
  readonly bytes?: number;
  /** Positive; default EIO. */
  readonly errno?: number;
  /** Fail one in so many, by the seed; default every one. */
  readonly oneIn?: number;
}

/** How the disk behaves; all of it has defaults. */
export interface DiskOptions {
  /** One read or write in so many is complete with its submission, as if the page cache had answered; 0: none. */
  readonly nowOneIn?: number;
  readonly faults?: readonly DiskFault[];
  /** No file grows beyond this (ENOSPC). */
  readonly spaceBytes?: number;
  /** What the alignment probe answers. */
  readonly alignment?: number;
  /** Whether discard works (the range then reads as zero) or answers ENOTSUP. */
  readonly discards?: boolean;
  /** Whether a range can be made zeroes without writing them; else that answers ENOTSUP. */
  readonly zeroes?: boolean;
  /** Whether room can be taken without writing; else that answers ENOTSUP. */
  readonly allocates?: boolean;
  /** Whether the disk says where its files have holes; else that answers ENOTSUP. */
  readonly holes?: boolean;
  /** Whether the disk copies from file to file; else that answers ENOTSUP. */
  readonly copies?: boolean;
  /** Paths that are directories. */
  readonly directories?: readonly string[];
}

/** A file of the modelled disk. */
export class SimulatedFile {
  readonly path: string;
  size = 0;
  readonly #pages = new Map<number, Uint8Array>();

  constructor(path: string) {
    this.path = path;
  }

  /** Bytes of the pages that were written. */
  get allocated(): number {
    return this.#pages.size * PAGE_BYTES;
  }

  /** Copy what is at `offset` to `into`; what lies beyond the end, and holes, read as zero. */
  read(offset: number, into: Uint8Array): void {
    this.#each(offset, into.length, (page, at, start, length) => {
      const bytes = this.#pages.get(page);
      if (bytes === undefined) into.fill(0, at, at + length);
      else into.set(bytes.subarray(start, start + length), at);
    });
  }

  /** Put `from` at `offset`; the file grows as needed. */
  write(offset: number, from: Uint8Array): void {
    this.#each(offset, from.length, (page, at, start, length) => {
      this.#pageAt(page).set(from.subarray(at, at + length), start);
    });
    this.size = Math.max(this.size, offset + from.length);
  }

  /** Make a range read as zero; the file grows as needed. */
  zero(offset: number, bytes: number): void {
    this.#clear(offset, bytes);
    this.size = Math.max(this.size, offset + bytes);
  }

  /** How many bytes of a range are alike from its start on, and whether they are data: in pages that were written, up to the end. */
  status(offset: number, bytes: number): { readonly bytes: number; readonly isData: boolean } {
    const isData = this.#isData(offset);
    let end = offset;
    while (end < offset + bytes && this.#isData(end) === isData) {
      if (end >= this.size) return { bytes, isData };
      end = Math.min((Math.floor(end / PAGE_BYTES) + 1) * PAGE_BYTES, this.size);
    }
    return { bytes: Math.min(end - offset, bytes), isData };
  }

  #isData(offset: number): boolean {
    return offset < this.size && this.#pages.has(Math.floor(offset / PAGE_BYTES));
  }

  /** Take pages for a range; the file grows as needed. */
  allocate(offset: number, bytes: number): void {
    this.#each(offset, bytes, (page) => this.#pageAt(page));
    this.size = Math.max(this.size, offset + bytes);
  }

  /** Cut the file off, or let it grow by zeroes. */
  truncate(size: number): void {
    if (size < this.size) this.#clear(size, this.size - size);
    this.size = size;
  }

  #clear(offset: number, bytes: number): void {
    this.#each(offset, bytes, (page, _at, start, length) => {
      if (length === PAGE_BYTES) this.#pages.delete(page);
      else this.#pages.get(page)?.fill(0, start, start + length);
    });
  }

  #pageAt(page: number): Uint8Array {
    let bytes = this.#pages.get(page);
    if (bytes === undefined) {
      bytes = new Uint8Array(PAGE_BYTES);
      this.#pages.set(page, bytes);
    }
    return bytes;
  }

  /** Walk a range page by page: the page, how far into the range, where in the page, and how long. */
  #each(
    offset: number,
    bytes: number,
    visit: (page: number, at: number, start: number, length: number) => void,
  ): void {
    for (let at = 0; at < bytes; ) {
      const start = (offset + at) % PAGE_BYTES;
      const length = Math.min(PAGE_BYTES - start, bytes - at);
      visit((offset + at - start) / PAGE_BYTES, at, start, length);
      at += length;
    }
  }
}

/** Where an operation is, for the plan of faults. */
export interface DiskPlace {
  readonly type: DiskOperationType;
  readonly offset: number;
  readonly bytes: number;
}

/** One end of a copy. */
export interface DiskEnd {
  readonly file: SimulatedFile;
  readonly offset: number;
}

/** One operation as the disk sees it; `data` holds exactly its bytes, null when the operation moves none. */
export interface DiskOperation {
  readonly type: FileOpType;
  readonly offset: number;
  readonly bytes: number;
  readonly data: Uint8Array | null;
}

/** The disk: the files of a run, and how it behaves. */
export class SimulatedDisk {
  readonly files = new Map<string, SimulatedFile>();
  readonly #options: DiskOptions;
  readonly #prng: Prng;

  constructor(options: DiskOptions, prng: Prng) {
    this.#options = options;
    this.#prng = prng;
    assert((options.alignment ?? 1) > 0, "alignments are positive");
  }

  get alignment(): number {
    return this.#options.alignment ?? 1;
  }

  /** The file at `path`, made if asked for; else a negated errno. */
  open(path: string, create: boolean): SimulatedFile | number {
    if (this.#options.directories?.includes(path)) return -EISDIR;
    const known = this.files.get(path);
    if (known !== undefined) return known;
    if (!create) return -ENOENT;
    const file = new SimulatedFile(path);
    this.files.set(path, file);
    return file;
  }

  /** Let a file have `size` bytes; 0 or a negated errno. */
  truncate(file: SimulatedFile, size: number): number {
    if (size > this.#space) return -ENOSPC;
    file.truncate(size);
    return 0;
  }

  /** The errno, negated, with which the plan fails this operation; 0 if it does not. */
  faultOf(file: SimulatedFile, operation: DiskPlace | DiskOperation): number {
    for (const fault of this.#options.faults ?? []) {
      if (!file.path.endsWith(fault.path)) continue;
      if (fault.types !== undefined && !fault.types.includes(operation.type)) continue;
      if (!touches(fault, operation)) continue;
      if (fault.oneIn !== undefined && !this.#prng.chance(1, fault.oneIn)) continue;
      return -(fault.errno ?? EIO);
    }
    return 0;
  }

  /** Carry `operation` out: 0 or a negated errno, of a `block_status` its answer. */
  perform(file: SimulatedFile, operation: DiskOperation): number {
    const { type, offset, bytes, data } = operation;
    if (type === "write_zeroes" && this.#options.zeroes === false) return -ENOTSUP;
    if (type === "allocate" && this.#options.allocates === false) return -ENOTSUP;
    const grows = type === "write" || type === "write_zeroes" || type === "allocate";
    if (grows && offset + bytes > this.#space) return -ENOSPC;
    if (type === "read") file.read(offset, dataOf(data));
    else if (type === "write") file.write(offset, dataOf(data));
    else if (type === "write_zeroes") file.zero(offset, bytes);
    else if (type === "allocate") file.allocate(offset, bytes);
    else if (type === "discard") return this.#discard(file, offset, bytes);
    else if (type === "block_status") return this.#status(file, offset, bytes);
    return 0;
  }

  /** Copy from file to file as copy_file_range does: up to the end of the source, and then that is no copy. 0 or a negated errno. */
  copy(from: DiskEnd, to: DiskEnd, bytes: number): number {
    if (this.#options.copies === false) return -ENOTSUP;
    if (from.file === to.file && Math.abs(from.offset - to.offset) < bytes) return -EINVAL;
    if (to.offset + bytes > this.#space) return -ENOSPC;
    const there = Math.min(bytes, Math.max(0, from.file.size - from.offset));
    const data = new Uint8Array(there);
    from.file.read(from.offset, data);
    if (there > 0) to.file.write(to.offset, data);
    return there < bytes ? -ENOTSUP : 0;
  }

  #discard(file: SimulatedFile, offset: number, bytes: number): number {
    if (this.#options.discards === false) return -ENOTSUP;
    const end = Math.min(offset + bytes, file.size);
    if (end > offset) file.zero(offset, end - offset);
    return 0;
  }

  #status(file: SimulatedFile, offset: number, bytes: number): number {
    if (this.#options.holes === false) return -ENOTSUP;
    const { bytes: alike, isData } = file.status(offset, bytes);
    return hostStatusAnswer(alike, isData);
  }

  get #space(): number {
    return this.#options.spaceBytes ?? Number.MAX_SAFE_INTEGER;
  }
}

function dataOf(data: Uint8Array | null): Uint8Array {
  assert(data !== null, "an operation that moves bytes has a buffer with contents");
  return data;
}

/** Whether an operation touches the fault's range; a flush, which has none, touches every range. */
function touches(fault: DiskFault, { type, offset, bytes }: DiskPlace): boolean {
  if (type === "flush") return true;
  const start = fault.offset ?? 0;
  const end = fault.bytes === undefined ? Number.POSITIVE_INFINITY : start + fault.bytes;
  return offset < end && offset + bytes > start;
}
