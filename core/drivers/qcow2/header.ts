// The header of an image as bytes and as an object, with its extensions. Bytes that this driver does not know are kept: fields
// behind those of today, and extensions of other types, are written back as they were.

import { assert, EINVAL, ENOTSUP } from "../../base/index.ts";
import { BlockError } from "../../graph/block-error.ts";
import * as format from "./format.ts";

const { join64 } = format;

/** A header extension as it is in the file. */
export interface HeaderExtension {
  readonly type: number;
  readonly data: Uint8Array;
}

/** Where the image has its bitmaps (C: Qcow2BitmapHeaderExt). */
export interface BitmapsExtension {
  readonly count: number;
  readonly directoryOffset: number;
  readonly directoryBytes: number;
}

/** The name of a feature, from the table in the image. */
interface FeatureName {
  readonly kind: number;
  readonly bit: number;
  readonly name: string;
}

/** C: QCowHeader. Sixty-four-bit masks are split, as only the low words have known bits. */
export interface Qcow2Header {
  readonly version: number;
  readonly clusterBits: number;
  readonly size: number;
  readonly l1Offset: number;
  readonly l1Size: number;
  readonly refcountTableOffset: number;
  readonly refcountTableClusters: number;
  readonly snapshotCount: number;
  readonly snapshotsOffset: number;
  readonly incompatible: number;
  readonly compatible: number;
  readonly compatibleHigh: number;
  readonly autoclear: number;
  readonly autoclearHigh: number;
  readonly refcountOrder: number;
  readonly headerBytes: number;
  readonly compression: number;
  /** What follows the fields above in a longer header. */
  readonly unknownFields: Uint8Array;
  readonly backingFile: string;
  readonly backingFormat: string;
  /** Name of the external data file; "" when the image has none or does not name it. */
  readonly dataFileName: string;
  readonly hasDataFile: boolean;
  readonly dataFileRaw: boolean;
  readonly lazyRefcounts: boolean;
  readonly hasSubclusters: boolean;
  /** Null also when somebody who does not know bitmaps has written to the image: they are not right any more. */
  readonly bitmaps: BitmapsExtension | null;
  readonly extensions: readonly HeaderExtension[];
}

/** How an image may be encrypted (QAPI: BlockdevQcow2EncryptionFormat); by the number that its header has for it. */
export const ENCRYPTION_FORMATS = ["aes", "luks"] as const;
export type EncryptionFormat = (typeof ENCRYPTION_FORMATS)[number];

/**
 * Understand the header in `bytes`, the beginning of the image (its first cluster, or all of a shorter file). `encryption` is what the
 * user says of it. BlockError that says what is wrong, or what is not supported. Common.
 */
export function parseHeader(bytes: Uint8Array, encryption?: EncryptionFormat): Qcow2Header {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < format.HEADER_V2_BYTES || view.getUint32(0) !== format.QCOW_MAGIC)
    throw new BlockError(EINVAL, "Image is not in qcow2 format");
  const version = view.getUint32(4);
  if (version < 2 || version > 3)
    throw new BlockError(ENOTSUP, `Unsupported qcow2 version ${version}`);
  const clusterBits = view.getUint32(20);
  if (clusterBits < format.CLUSTER_BITS_MIN || clusterBits > format.CLUSTER_BITS_MAX)
    throw new BlockError(EINVAL, `Unsupported cluster size: 2^${clusterBits}`);
  const headerBytes = version === 2 ? format.HEADER_V2_BYTES : view.getUint32(100);
  if (version === 3 && headerBytes < format.HEADER_V3_BYTES)
    throw new BlockError(EINVAL, "qcow2 header too short");
  if (headerBytes > 2 ** clusterBits || headerBytes > bytes.length)
    throw new BlockError(EINVAL, "qcow2 header exceeds cluster size");
  const isV3 = version === 3;
  const extensions = parseExtensions(bytes, headerBytes, extensionsEnd(view, clusterBits));
  const features = isV3 ? featuresOf(view, extensions) : NO_FEATURES;
  const compression = headerBytes > 104 ? view.getUint8(104) : 0;
  checkCompression(features.incompatible, compression);
  if (view.getUint32(32) !== 0) refuseEncrypted(view.getUint32(32), encryption);
  const has = (bit: number) => (features.incompatible & bit) !== 0;
  return {
    version,
    clusterBits,
    size: offsetAt(view, 24, "image size"),
    l1Offset: offsetAt(view, 40, "L1 table offset"),
    l1Size: view.getUint32(36),
    refcountTableOffset: offsetAt(view, 48, "reference count table offset"),
    refcountTableClusters: view.getUint32(56),
    snapshotCount: view.getUint32(60),
    snapshotsOffset: offsetAt(view, 64, "snapshot table offset"),
    ...features,
    refcountOrder: isV3 ? view.getUint32(96) : 4,
    headerBytes,
    compression,
    unknownFields: Uint8Array.from(bytes.subarray(Math.min(headerBytes, 112), headerBytes)),
    backingFile: backingName(view, bytes, clusterBits),
    backingFormat: textOf(extensions, format.EXT_BACKING_FORMAT),
    dataFileName: textOf(extensions, format.EXT_DATA_FILE),
    hasDataFile: has(format.INCOMPAT_DATA_FILE),
    dataFileRaw: (features.autoclear & format.AUTOCLEAR_DATA_FILE_RAW) !== 0,
    lazyRefcounts: (features.compatible & format.COMPAT_LAZY_REFCOUNTS) !== 0,
    hasSubclusters: has(format.INCOMPAT_EXTL2),
    bitmaps: bitmapsOf(extensions, features.autoclear, clusterBits),
    extensions,
  };
}

/**
 * How many bytes from the start of the image on `parseHeader` must be given, as far as the ones in `bytes` tell: when it is more
 * than there are, ask again with that many. Common.
 */
export function headerNeeds(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  assert(bytes.length >= format.HEADER_V3_BYTES, "the fixed fields are there");
  const clusterBits = view.getUint32(20);
  if (view.getUint32(0) !== format.QCOW_MAGIC || clusterBits > format.CLUSTER_BITS_MAX) return 0;
  const end = Math.min(extensionsEnd(view, clusterBits), 2 ** clusterBits);
  let at = view.getUint32(4) === 2 ? format.HEADER_V2_BYTES : view.getUint32(100);
  while (at + 8 <= end) {
    if (at + 8 > bytes.length) return at + 8;
    if (view.getUint32(at) === format.EXT_END) break;
    at += 8 + alignUp8(view.getUint32(at + 4));
  }
  const backing = join64(view.getUint32(8), view.getUint32(12));
  const name = backing === 0 ? 0 : backing + Math.min(view.getUint32(16), format.BACKING_NAME_MAX);
  return Math.min(2 ** clusterBits, Math.max(at, name));
}

/** An image with a method of encryption cannot be read here; as in QEMU, first it is looked at whether the user means the same one. */
function refuseEncrypted(method: number, asked: EncryptionFormat | undefined): never {
  const format = ENCRYPTION_FORMATS[method - 1];
  if (format === undefined)
    throw new BlockError(EINVAL, `Unsupported encryption method ${method | 0}`);
  if (asked !== undefined && asked !== format) {
    const reported = `Header reported '${format}' encryption format`;
    throw new BlockError(EINVAL, `${reported} but options specify '${asked}'`);
  }
  const name = format.toUpperCase();
  throw new BlockError(ENOTSUP, `${name} encryption of qcow2 images is not supported`);
}

const NO_FEATURES = {
  incompatible: 0,
  compatible: 0,
  compatibleHigh: 0,
  autoclear: 0,
  autoclearHigh: 0,
};

/** The feature masks; an unknown incompatible one is refused by its name in the image's own table. */
function featuresOf(view: DataView, extensions: readonly HeaderExtension[]): typeof NO_FEATURES {
  const [high, low] = [view.getUint32(72), view.getUint32(76)];
  const unknown: string[] = [];
  const names = featureNames(extensions);
  let nameless = 0n;
  for (let bit = 0; bit < 64; bit++) {
    const word = bit < 32 ? low & ~format.INCOMPAT_KNOWN : high;
    if (((word >>> (bit % 32)) & 1) === 0) continue;
    const name = names.find((one) => one.kind === 0 && one.bit === bit)?.name ?? "";
    if (name === "") nameless |= 1n << BigInt(bit);
    else unknown.push(name);
  }
  // As a mask, in QEMU's words.
  if (nameless !== 0n) unknown.push(`Unknown incompatible feature: ${nameless.toString(16)}`);
  if (unknown.length > 0)
    throw new BlockError(ENOTSUP, `Unsupported qcow2 feature(s): ${unknown.join(", ")}`);
  return {
    incompatible: low,
    compatibleHigh: view.getUint32(80),
    compatible: view.getUint32(84),
    autoclearHigh: view.getUint32(88),
    autoclear: view.getUint32(92),
  };
}

function featureNames(extensions: readonly HeaderExtension[]): FeatureName[] {
  const table = extensions.find(({ type }) => type === format.EXT_FEATURE_TABLE)?.data;
  const names: FeatureName[] = [];
  for (let at = 0; table !== undefined && at + 48 <= table.length; at += 48) {
    const text = ascii(table.subarray(at + 2, at + 48));
    names.push({ kind: table[at] ?? 0, bit: table[at + 1] ?? 0, name: text.replace(/\0.*/s, "") });
  }
  return names;
}

function checkCompression(incompatible: number, compression: number): void {
  const isOther = (incompatible & format.INCOMPAT_COMPRESSION) !== 0;
  if (isOther !== (compression !== format.COMPRESSION_ZLIB))
    throw new BlockError(EINVAL, "qcow2: Compression type incompatible feature bit is wrong");
  if (compression > format.COMPRESSION_ZSTD)
    throw new BlockError(ENOTSUP, `qcow2: unknown compression type: ${compression}`);
}

/** Where extensions may reach: up to the name of the backing file, else to the end of the cluster. */
function extensionsEnd(view: DataView, clusterBits: number): number {
  const backing = join64(view.getUint32(8), view.getUint32(12));
  return backing > 0 ? backing : 2 ** clusterBits;
}

function parseExtensions(bytes: Uint8Array, from: number, end: number): HeaderExtension[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const extensions: HeaderExtension[] = [];
  const stop = Math.min(end, bytes.length);
  for (let at = from; at + 8 <= stop; ) {
    const type = view.getUint32(at);
    const length = view.getUint32(at + 4);
    if (at + 8 + length > stop) throw new BlockError(EINVAL, "Header extension too large");
    if (type === format.EXT_END) break;
    extensions.push({ type, data: Uint8Array.from(bytes.subarray(at + 8, at + 8 + length)) });
    at += 8 + Math.ceil(length / 8) * 8;
  }
  return extensions;
}

function backingName(view: DataView, bytes: Uint8Array, clusterBits: number): string {
  const offset = join64(view.getUint32(8), view.getUint32(12));
  const length = view.getUint32(16);
  if (offset === 0) return "";
  if (offset > 2 ** clusterBits) throw new BlockError(EINVAL, "Invalid backing file offset");
  const room = Math.min(format.BACKING_NAME_MAX, 2 ** clusterBits - offset, bytes.length - offset);
  if (length > room) throw new BlockError(EINVAL, "Backing file name too long");
  return new TextDecoder().decode(bytes.subarray(offset, offset + length));
}

function bitmapsOf(
  extensions: readonly HeaderExtension[],
  autoclear: number,
  clusterBits: number,
): BitmapsExtension | null {
  const refuse = (why: string): never => {
    throw new BlockError(EINVAL, why);
  };
  const data = extensions.find(({ type }) => type === format.EXT_BITMAPS)?.data;
  if (data === undefined) return null;
  if (data.length !== BITMAPS_EXTENSION_BYTES) refuse("bitmaps_ext: Invalid extension length");
  if ((autoclear & format.AUTOCLEAR_BITMAPS) === 0) return null;
  const view = new DataView(data.buffer, data.byteOffset);
  const count = view.getUint32(0);
  if (view.getUint32(4) !== 0) refuse("bitmaps_ext: Reserved field is not zero");
  const directoryBytes = join64(view.getUint32(8), view.getUint32(12));
  const directoryOffset = offsetAt(view, 16, "bitmap directory offset");
  const most = format.BITMAPS_MAX;
  if (count > most)
    refuse(
      `bitmaps_ext: Image has ${count} bitmaps, exceeding the QEMU supported maximum of ${most}`,
    );
  if (count === 0) refuse("found bitmaps extension with zero bitmaps");
  if (directoryOffset % 2 ** clusterBits !== 0 || directoryOffset === 0)
    refuse("bitmaps_ext: invalid bitmap directory offset");
  const mostBytes = format.BITMAP_DIRECTORY_BYTES_MAX;
  if (directoryBytes > mostBytes)
    refuse(
      `bitmaps_ext: bitmap directory size (${directoryBytes}) exceeds the maximum supported size (${mostBytes})`,
    );
  if (directoryBytes === 0) refuse("Requested bitmap directory size is zero");
  return { count, directoryOffset, directoryBytes };
}

const BITMAPS_EXTENSION_BYTES = 24;

function bitmapsBytes(bitmaps: BitmapsExtension | null): Uint8Array {
  if (bitmaps === null) return new Uint8Array();
  const view = new DataView(new ArrayBuffer(BITMAPS_EXTENSION_BYTES));
  view.setUint32(0, bitmaps.count);
  put64(view, 8, bitmaps.directoryBytes);
  put64(view, 16, bitmaps.directoryOffset);
  return new Uint8Array(view.buffer);
}

function textOf(extensions: readonly HeaderExtension[], wanted: number): string {
  const found = extensions.find(({ type }) => type === wanted);
  return found === undefined ? "" : new TextDecoder().decode(found.data);
}

function ascii(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

function offsetAt(view: DataView, at: number, what: string): number {
  const value = join64(view.getUint32(at), view.getUint32(at + 4));
  if (value >= format.HOST_OFFSET_MAX) throw new BlockError(EINVAL, `Invalid ${what}: too large`);
  return value;
}

/**
 * The bytes of a header, to be written at the start of the image: the first cluster of it at most. BlockError when what it holds
 * does not fit there. Common.
 */
export function headerBytesOf(header: Qcow2Header): Uint8Array {
  const extensions = extensionsOf(header);
  const name = new TextEncoder().encode(header.backingFile);
  const fields = header.headerBytes;
  const extensionBytes = extensions.reduce((sum, { data }) => sum + 8 + alignUp8(data.length), 8);
  const total = fields + extensionBytes + name.length;
  if (total > 2 ** header.clusterBits)
    throw new BlockError(EINVAL, "The header of the image does not fit into its first cluster");
  const bytes = new Uint8Array(total);
  const view = new DataView(bytes.buffer);
  writeFields(view, header);
  if (header.version >= 3) {
    writeFeatures(view, header);
    bytes.set(header.unknownFields, 112);
  }
  let at = fields;
  for (const { type, data } of extensions) {
    view.setUint32(at, type);
    view.setUint32(at + 4, data.length);
    bytes.set(data, at + 8);
    at += 8 + alignUp8(data.length);
  }
  at += 8;
  assert(at + name.length === total, "the parts of a header add up");
  bytes.set(name, at);
  if (name.length > 0) put64(view, 8, at);
  view.setUint32(16, name.length);
  return bytes;
}

function writeFields(view: DataView, header: Qcow2Header): void {
  view.setUint32(0, format.QCOW_MAGIC);
  view.setUint32(4, header.version);
  view.setUint32(20, header.clusterBits);
  put64(view, 24, header.size);
  view.setUint32(36, header.l1Size);
  put64(view, 40, header.l1Offset);
  put64(view, 48, header.refcountTableOffset);
  view.setUint32(56, header.refcountTableClusters);
  view.setUint32(60, header.snapshotCount);
  put64(view, 64, header.snapshotsOffset);
}

function writeFeatures(view: DataView, header: Qcow2Header): void {
  view.setUint32(76, header.incompatible);
  view.setUint32(80, header.compatibleHigh);
  view.setUint32(84, header.compatible);
  view.setUint32(88, header.autoclearHigh);
  view.setUint32(92, header.autoclear);
  view.setUint32(96, header.refcountOrder);
  view.setUint32(100, header.headerBytes);
  if (header.headerBytes > 104) view.setUint8(104, header.compression);
}

/** The extensions to write: those that the header's own fields say, and those that are kept as they were. */
function extensionsOf(header: Qcow2Header): HeaderExtension[] {
  const own = [format.EXT_BACKING_FORMAT, format.EXT_DATA_FILE, format.EXT_BITMAPS];
  const kept = header.extensions.filter(({ type }) => !own.includes(type));
  const encoder = new TextEncoder();
  const named = [
    { type: format.EXT_BACKING_FORMAT, data: encoder.encode(header.backingFormat) },
    { type: format.EXT_DATA_FILE, data: encoder.encode(header.dataFileName) },
    { type: format.EXT_BITMAPS, data: bitmapsBytes(header.bitmaps) },
  ];
  return [...named.filter(({ data }) => data.length > 0), ...kept];
}

/** Put a number of 64 bits at `at`. Common. */
export function put64(view: DataView, at: number, value: number): void {
  assert(Number.isSafeInteger(value) && value >= 0, "what is put is a safe integer");
  view.setUint32(at, format.high32(value));
  view.setUint32(at + 4, value % 2 ** 32);
}

function alignUp8(length: number): number {
  return Math.ceil(length / 8) * 8;
}
