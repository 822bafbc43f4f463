// The commands of qemu-io that read, write, discard and flush (qemu-io-cmds.c). Each returns its usage as null when its words
// make no sense; all else is printed.
//
// What was read is compared with a pattern by a decision, so that a recording has the verdict and no guest data.

import {
  blkCoPreadv,
  blkCoPwritev,
  blkCoPwriteZeroes,
  blkFlush,
  blkLoadVmstate,
  blkPdiscard,
  blkPread,
  blkPwrite,
  blkPwriteCompressed,
  blkPwriteZeroes,
  blkSaveVmstate,
} from "#core/backend";
import { must, strerror } from "#core/base";
import { BDRV_REQ_FUA, BDRV_REQ_MAY_UNMAP, BDRV_REQ_NO_FALLBACK } from "#core/graph";
import { BDRV_REQUEST_MAX_BYTES, BDRV_SECTOR_SIZE, qiovOf } from "#core/io";
import { site } from "#core/probe";
import { type Co, clockNs, GuestBuffer, hostAllocate, hostDecide, type Polls } from "#core/sched";
import type { QemuIoSession } from "./qemu-io-session.ts";
import { bufferFromFile } from "./qemu-io-source.ts";
import { dumpLines, type Options, reportLines } from "./qemu-io-text.ts";
import { numberOf, optionsOf, patternOf } from "./qemu-io-words.ts";

const SITE_VERIFY = site("qemu_io_verify");

/** What a command does with its words: false when they make no sense, and its usage is to be printed. Polls. */
export type QemuIoBody = (session: QemuIoSession, words: readonly string[]) => Polls<boolean>;

/** The byte that a buffer has when nobody asks for another. */
const WRITTEN = 0xcd;

interface Range {
  readonly offset: number;
  readonly bytes: number;
}

/** read_f. Polls. */
export function* readF(session: QemuIoSession, words: readonly string[]): Polls<boolean> {
  const options = optionsOf(session, words, "bCl:pP:qs:v");
  if (options === null) return false;
  const { flags, rest } = options;
  const wanted = wantedOf(session, flags);
  if (wanted === null) return true;
  if (rest.length !== 2) return false;
  const range = rangeOf(session, rest);
  if (range === null) return true;
  if (!flags.has("P") && (flags.has("l") || flags.has("s"))) return false;
  const expected = expectationOf(session, wanted, range);
  if (expected === null) return true;
  if (flags.has("b") && !isInSectors(session, range)) return true;
  const buffer = hostAllocate(range.bytes);
  const start = clockNs();
  const ret = yield* read(session, flags, range, buffer);
  const elapsedNs = clockNs() - start;
  if (ret < 0) session.print(`read failed: ${strerror(-ret)}`);
  else {
    verify(session, buffer, range, expected);
    dumpIfWanted(session, options, buffer, range);
    reportUnlessQuiet(session, options, { what: "read", ...range, elapsedNs });
  }
  return true;
}

function read(
  { blk }: QemuIoSession,
  flags: Options["flags"],
  { offset, bytes }: Range,
  buffer: GuestBuffer,
): Polls<number> {
  if (flags.has("b")) return blkLoadVmstate(blk, buffer, offset, bytes);
  return blkPread(blk, offset, bytes, buffer);
}

/** write_f. Polls. */
export function* writeF(session: QemuIoSession, words: readonly string[]): Polls<boolean> {
  const options = optionsOf(session, words, "bcCfnpP:qs:uz");
  if (options === null) return false;
  const { flags } = options;
  const pattern = patternOf(session, flags, WRITTEN);
  if (pattern === null) return true;
  if (options.rest.length !== 2) return false;
  const wrong = contradictionOf(flags);
  if (wrong !== null) {
    session.print(wrong);
    return true;
  }
  const range = writeRangeOf(session, options);
  if (range === null) return true;
  if ((flags.has("b") || flags.has("c")) && !isInSectors(session, range)) return true;
  const buffer = yield* writeBuffer(session, flags, range, pattern);
  if (buffer === null) return true;
  const start = clockNs();
  const ret = yield* write(session, flags, range, buffer);
  const elapsedNs = clockNs() - start;
  if (ret < 0) session.print(`write failed: ${strerror(-ret)}`);
  else reportUnlessQuiet(session, options, { what: "wrote", ...range, elapsedNs });
  return true;
}

function contradictionOf(flags: Options["flags"]): string | null {
  if (flags.has("b") && flags.has("z")) return "-b and -z cannot be specified at the same time";
  if (flags.has("f") && (flags.has("b") || flags.has("c")))
    return "-f and -b or -c cannot be specified at the same time";
  if (flags.has("n") && !flags.has("z")) return "-n requires -z to be specified";
  if (flags.has("u") && !flags.has("z")) return "-u requires -z to be specified";
  if (["z", "P", "s"].filter((letter) => flags.has(letter)).length > 1)
    return "Only one of -z, -P, and -s can be specified at the same time";
  return null;
}

/** What is written; empty where that is zeroes, null after saying why there is nothing. Polls. */
function* writeBuffer(
  session: QemuIoSession,
  flags: Options["flags"],
  { bytes }: Range,
  pattern: number,
): Polls<GuestBuffer | null> {
  if (flags.has("z")) return new GuestBuffer(0, null);
  const source = flags.get("s");
  if (source === undefined) return filled(bytes, pattern);
  return yield* bufferFromFile(session, source, bytes);
}

function* write(
  { blk }: QemuIoSession,
  flags: Options["flags"],
  { offset, bytes }: Range,
  buffer: GuestBuffer,
): Polls<number> {
  const bits = requestFlags(flags);
  if (flags.has("z")) return yield* blkPwriteZeroes(blk, offset, bytes, bits);
  if (flags.has("b")) return yield* blkSaveVmstate(blk, buffer, offset, bytes);
  if (flags.has("c")) return yield* blkPwriteCompressed(blk, offset, bytes, buffer);
  return yield* blkPwrite(blk, offset, bytes, buffer, bits);
}

/** aio_read_f. Polls. */
export function* aioReadF(session: QemuIoSession, words: readonly string[]): Polls<boolean> {
  const options = optionsOf(session, words, "CP:iqv");
  if (options === null) return false;
  const { flags, rest } = options;
  const pattern = patternOf(session, flags, -1);
  if (pattern === null) return true;
  if (flags.has("i")) {
    session.print("injecting invalid read request");
    return true;
  }
  if (rest.length < 2) return false;
  const range = vectorOf(session, rest);
  if (range === null) return true;
  const buffer = hostAllocate(range.bytes);
  session.startInBackground(function* (): Co<void> {
    const start = clockNs();
    const ret = yield* blkCoPreadv(session.blk, range.offset, range.bytes, qiovOf(buffer));
    const elapsedNs = clockNs() - start;
    if (ret < 0) {
      session.print(`readv failed: ${strerror(-ret)}`);
      return;
    }
    const all = { start: 0, bytes: range.bytes, pattern };
    verify(session, buffer, range, all);
    dumpIfWanted(session, options, buffer, range);
    reportUnlessQuiet(session, options, { what: "read", ...range, elapsedNs });
  });
  return true;
}

/** aio_write_f. Polls. */
export function* aioWriteF(session: QemuIoSession, words: readonly string[]): Polls<boolean> {
  const options = optionsOf(session, words, "CfiqP:uz");
  if (options === null) return false;
  const { flags, rest } = options;
  const pattern = patternOf(session, flags, WRITTEN);
  if (pattern === null) return true;
  if (flags.has("i")) {
    session.print("injecting invalid write request");
    return true;
  }
  if (rest.length < 2) return false;
  const wrong = aioContradictionOf(flags, rest);
  if (wrong !== null) {
    session.print(wrong);
    return true;
  }
  const range = vectorOf(session, rest);
  if (range === null) return true;
  session.startInBackground(function* (): Co<void> {
    const start = clockNs();
    const ret = yield* coWrite(session, flags, range, pattern);
    const elapsedNs = clockNs() - start;
    if (ret < 0) session.print(`aio_write failed: ${strerror(-ret)}`);
    else reportUnlessQuiet(session, options, { what: "wrote", ...range, elapsedNs });
  });
  return true;
}

function aioContradictionOf(flags: Options["flags"], rest: readonly string[]): string | null {
  if (flags.has("z") && rest.length !== 2) return "-z supports only a single length parameter";
  if (flags.has("u") && !flags.has("z")) return "-u requires -z to be specified";
  return null;
}

function* coWrite(
  { blk }: QemuIoSession,
  flags: Options["flags"],
  { offset, bytes }: Range,
  pattern: number,
): Co<number> {
  const bits = requestFlags(flags);
  if (flags.has("z")) return yield* blkCoPwriteZeroes(blk, offset, bytes, bits);
  return yield* blkCoPwritev(blk, offset, bytes, qiovOf(filled(bytes, pattern)), bits);
}

/** discard_f. Polls. */
export function* discardF(session: QemuIoSession, words: readonly string[]): Polls<boolean> {
  const options = optionsOf(session, words, "Cq");
  if (options?.rest.length !== 2) return false;
  const range = rangeOf(session, options.rest);
  if (range === null) return true;
  const start = clockNs();
  const ret = yield* blkPdiscard(session.blk, range.offset, range.bytes);
  const elapsedNs = clockNs() - start;
  if (ret < 0) session.print(`discard failed: ${strerror(-ret)}`);
  else reportUnlessQuiet(session, options, { what: "discard", ...range, elapsedNs });
  return true;
}

/** flush_f, which says nothing, whatever comes of it. Polls. */
export function* flushF({ blk }: QemuIoSession): Polls<boolean> {
  yield* blkFlush(blk);
  return true;
}

function requestFlags(flags: Options["flags"]): number {
  return (
    (flags.has("f") ? BDRV_REQ_FUA : 0) |
    (flags.has("n") ? BDRV_REQ_NO_FALLBACK : 0) |
    (flags.has("u") ? BDRV_REQ_MAY_UNMAP : 0)
  );
}

function filled(bytes: number, pattern: number): GuestBuffer {
  return new GuestBuffer(bytes, new Uint8Array(bytes).fill(pattern));
}

function rangeOf(
  session: QemuIoSession,
  words: readonly string[],
  bytesMax = BDRV_REQUEST_MAX_BYTES,
): Range | null {
  const offset = numberOf(session, must(words[0], "an offset is given"));
  const length = must(words[1], "a length is given");
  const bytes = offset === null ? null : numberOf(session, length);
  if (offset === null || bytes === null) return null;
  if (bytes <= bytesMax) return { offset, bytes };
  session.print(`length cannot exceed ${BDRV_REQUEST_MAX_BYTES}, given ${length}`);
  return null;
}

/** With -n as many zeroes as there are bytes: nothing is written for them. */
function writeRangeOf(session: QemuIoSession, { flags, rest }: Options): Range | null {
  const range = rangeOf(session, rest, Number.MAX_SAFE_INTEGER);
  if (range === null || range.bytes <= BDRV_REQUEST_MAX_BYTES || flags.has("n")) return range;
  session.print(`length cannot exceed ${BDRV_REQUEST_MAX_BYTES} without -n, given ${rest[1]}`);
  return null;
}

/** create_iovec: several lengths one after the other. */
function vectorOf(session: QemuIoSession, words: readonly string[]): Range | null {
  const [first = "", ...lengths] = words;
  const offset = numberOf(session, first);
  if (offset === null) return null;
  let bytes = 0;
  for (const length of lengths) {
    const part = numberOf(session, length);
    if (part === null) return null;
    if (part > BDRV_REQUEST_MAX_BYTES) {
      session.print(`Argument '${length}' exceeds maximum size ${BDRV_REQUEST_MAX_BYTES}`);
      return null;
    }
    bytes += part;
    if (bytes <= BDRV_REQUEST_MAX_BYTES) continue;
    session.print(`The total number of bytes exceed the maximum size ${BDRV_REQUEST_MAX_BYTES}`);
    return null;
  }
  return { offset, bytes };
}

function isInSectors(session: QemuIoSession, { offset, bytes }: Range): boolean {
  for (const [name, value] of [
    ["offset", offset],
    ["count", bytes],
  ] as const) {
    if (value % BDRV_SECTOR_SIZE === 0) continue;
    session.print(`${value} is not a sector-aligned value for '${name}'`);
    return false;
  }
  return true;
}

/** Which bytes of what is read must be which; a negative pattern is any. */
interface Expectation {
  readonly start: number;
  readonly bytes: number;
  readonly pattern: number;
}

/** What -P, -s and -l say of them, which is looked at as it comes. */
interface Wanted {
  readonly pattern: number;
  readonly start: number;
  /** Null: to the end. */
  readonly bytes: number | null;
}

function wantedOf(session: QemuIoSession, flags: Options["flags"]): Wanted | null {
  const pattern = patternOf(session, flags, -1);
  if (pattern === null) return null;
  const start = numberOf(session, flags.get("s") ?? "0");
  if (start === null) return null;
  const length = flags.get("l");
  const bytes = length === undefined ? null : numberOf(session, length);
  return length !== undefined && bytes === null ? null : { pattern, start, bytes };
}

function expectationOf(
  session: QemuIoSession,
  { pattern, start, bytes }: Wanted,
  range: Range,
): Expectation | null {
  const length = bytes ?? Math.max(0, range.bytes - start);
  if (start + length <= range.bytes) return { start, bytes: length, pattern };
  session.print("pattern verification range exceeds end of read data");
  return null;
}

function verify(
  { print }: QemuIoSession,
  buffer: GuestBuffer,
  { offset }: Range,
  { start, bytes, pattern }: Expectation,
): void {
  if (pattern < 0) return;
  const differs = hostDecide(SITE_VERIFY, () => {
    const data = must(buffer.data, "what is compared has contents");
    return data.subarray(start, start + bytes).every((byte) => byte === pattern) ? 0 : 1;
  });
  if (differs === 0) return;
  print(`Pattern verification failed at offset ${offset + start}, ${bytes} bytes`);
}

/** -v: what was read, on the standard output; it goes nowhere else, and a replay has nothing to show. */
function dumpIfWanted(
  { print }: QemuIoSession,
  { flags }: Options,
  buffer: GuestBuffer,
  { offset }: Range,
): void {
  if (!flags.has("v") || flags.has("q") || buffer.data === null || buffer.length === 0) return;
  print(dumpLines(buffer.data, offset).join("\n"));
}

function reportUnlessQuiet(
  { print }: QemuIoSession,
  { flags }: Options,
  report: Omit<Parameters<typeof reportLines>[0], "isTerse">,
): void {
  if (flags.has("q")) return;
  for (const line of reportLines({ ...report, isTerse: flags.has("C") })) print(line);
}
