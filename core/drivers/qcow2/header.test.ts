import { describe, expect, it } from "vitest";
import { EXT_FEATURE_TABLE } from "./format.ts";
import { headerBytesOf, headerNeeds, parseHeader, type Qcow2Header } from "./header.ts";

const EMPTY: Qcow2Header = {
  version: 3,
  clusterBits: 16,
  size: 1 << 20,
  l1Offset: 3 << 16,
  l1Size: 1,
  refcountTableOffset: 1 << 16,
  refcountTableClusters: 1,
  snapshotCount: 0,
  snapshotsOffset: 0,
  incompatible: 0,
  compatible: 0,
  compatibleHigh: 0x8000_0000,
  autoclear: 0,
  autoclearHigh: 0,
  refcountOrder: 4,
  headerBytes: 112,
  compression: 0,
  unknownFields: new Uint8Array(),
  backingFile: "base.qcow2",
  backingFormat: "qcow2",
  dataFileName: "",
  hasDataFile: false,
  dataFileRaw: false,
  lazyRefcounts: false,
  hasSubclusters: false,
  bitmaps: null,
  extensions: [{ type: 0x12345678, data: Uint8Array.of(1, 2, 3) }],
};

/** The bytes of EMPTY in a cluster, changed by `change`. */
function changed(change: (view: DataView) => void): Uint8Array {
  const bytes = new Uint8Array(4096);
  bytes.set(headerBytesOf(EMPTY));
  change(new DataView(bytes.buffer));
  return bytes;
}

/** A feature name table with one entry. */
function featureTable(bit: number, name: string): Uint8Array {
  const data = new Uint8Array(48);
  data[1] = bit;
  data.set(new TextEncoder().encode(name), 2);
  return data;
}

describe("a qcow2 header", () => {
  it("is written as it was read, with what this version does not know", () => {
    const bytes = changed(() => undefined);
    const header = parseHeader(bytes);
    expect(header).toMatchObject({
      size: 1 << 20,
      backingFile: "base.qcow2",
      compatibleHigh: 0x8000_0000,
    });
    expect(header.extensions.map(({ type }) => type)).toContain(0x12345678);
    const again = headerBytesOf(header);
    expect(parseHeader(again)).toEqual(header);
    expect(headerBytesOf(parseHeader(again))).toEqual(again);
  });

  it("keeps fields behind those of today", () => {
    const longer = {
      ...EMPTY,
      headerBytes: 120,
      unknownFields: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8),
    };
    const header = parseHeader(headerBytesOf(longer));
    expect(header.unknownFields).toEqual(longer.unknownFields);
    expect(header.backingFile).toBe("base.qcow2");
  });

  it("says how much of it must be read", () => {
    const long = { ...EMPTY, extensions: [{ type: 5, data: new Uint8Array(2000) }] };
    const bytes = headerBytesOf(long);
    let read = bytes.subarray(0, 512);
    while (headerNeeds(read) > read.length) read = bytes.subarray(0, headerNeeds(read));
    expect(parseHeader(read)).toEqual(parseHeader(bytes));
    expect(headerNeeds(new Uint8Array(512))).toBe(0);
  });

  it("with an unknown incompatible feature is refused by the name that it has in the image", () => {
    const extensions = [{ type: EXT_FEATURE_TABLE, data: featureTable(40, "time travel") }];
    const bytes = headerBytesOf({ ...EMPTY, extensions });
    const view = new DataView(bytes.buffer);
    view.setUint32(72, 1 << 8);
    view.setUint32(76, 1 << 7);
    expect(() => parseHeader(bytes)).toThrow(
      "Unsupported qcow2 feature(s): time travel, Unknown incompatible feature: 80",
    );
  });

  it.each<[string, (view: DataView) => void]>([
    ["Image is not in qcow2 format", (view) => view.setUint32(0, 0)],
    ["Unsupported qcow2 version 4", (view) => view.setUint32(4, 4)],
    ["Unsupported cluster size: 2^22", (view) => view.setUint32(20, 22)],
    ["AES encryption of qcow2 images is not supported", (view) => view.setUint32(32, 1)],
    ["LUKS encryption of qcow2 images is not supported", (view) => view.setUint32(32, 2)],
    ["Unsupported encryption method 3", (view) => view.setUint32(32, 3)],
    ["qcow2 header too short", (view) => view.setUint32(100, 72)],
    ["qcow2 header exceeds cluster size", (view) => view.setUint32(100, 1 << 20)],
    ["qcow2: Compression type incompatible feature bit is wrong", (view) => view.setUint8(104, 1)],
    ["Invalid L1 table offset: too large", (view) => view.setUint32(40, 0xffff_ffff)],
    ["Invalid backing file offset", (view) => view.setUint32(8, 1)],
    ["Backing file name too long", (view) => view.setUint32(16, 1024)],
    ["Header extension too large", (view) => view.setUint32(116, 1 << 30)],
  ])("is refused: %s", (message, change) => {
    expect(() => parseHeader(changed(change))).toThrow(message);
  });

  it("is refused for how the user says that it is encrypted, first", () => {
    const bytes = changed((view) => view.setUint32(32, 2));
    expect(() => parseHeader(bytes, "aes")).toThrow(
      "Header reported 'luks' encryption format but options specify 'aes'",
    );
    expect(() => parseHeader(bytes, "luks")).toThrow("LUKS encryption of qcow2 images is not");
  });
});
