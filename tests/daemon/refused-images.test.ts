// Images that are refused as a whole, for the reason that qemu-storage-daemon gives.

import { execFileSync } from "node:child_process";
import {
  closeSync,
  ftruncateSync,
  openSync,
  readFileSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { haveTools } from "../nbd-peers/live-server.ts";
import { type BothDaemons, startBoth } from "./both-daemons.ts";

const PEER = haveTools("qemu-storage-daemon", "qemu-img");

const offsetAt = (image: Buffer, at: number) => Number(image.readBigUInt64BE(at));

/** Where the data of the header's extension for bitmaps is. */
function bitmapsAt(image: Buffer): number {
  let at = image.readUInt32BE(100);
  while (image.readUInt32BE(at) !== 0x2385_2875)
    at += 8 + Math.ceil(image.readUInt32BE(at + 4) / 8) * 8;
  return at + 8;
}

const DAMAGES: readonly (readonly [string, string, (image: Buffer) => void])[] = [
  [
    "a snapshot has too much extra data",
    "Too much extra metadata in snapshot table entry 1",
    (image) => image.writeUInt32BE(2000, offsetAt(image, 64) + 72 + 36),
  ],
  [
    "two incompatible features have no name, and one has",
    "Unsupported qcow2 feature(s): lazy, Unknown incompatible feature: 1000000000000080",
    (image) => {
      image.writeUInt32BE(0x1000_0000, 72);
      image.writeUInt32BE(0xa0, 76);
      // The table of names has "dirty bit" first; that is of a bit that is known.
      const at = image.readUInt32BE(100) + 8;
      image.writeUInt8(5, at + 1);
      image.write("lazy\0", at + 2);
    },
  ],
  [
    "what says that there are no more extensions is too long",
    "Header extension too large",
    (image) => {
      const at = image.readUInt32BE(100);
      image.writeUInt32BE(0, at);
      image.writeUInt32BE(1 << 20, at + 4);
    },
  ],
  [
    "the method of encryption is a large one",
    "Unsupported encryption method -2147483648",
    (image) => image.writeUInt32BE(0x8000_0000, 32),
  ],
  [
    "the table of a bitmap has an entry that cannot be",
    "Could not read bitmap_table table from image for bitmap 'b': Invalid argument",
    (image) => {
      const directory = offsetAt(image, bitmapsAt(image) + 16);
      image.writeBigUInt64BE(0x1fen, offsetAt(image, directory));
    },
  ],
];

describe.skipIf(!PEER)("an image is refused when", () => {
  let both: BothDaemons;
  let image: Buffer;
  beforeAll(async () => {
    both = await startBoth();
    const path = join(both.ours.folder, "made.qcow2");
    execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", path, "1M"]);
    for (const name of ["a", "b"]) execFileSync("qemu-img", ["snapshot", "-c", name, path]);
    execFileSync("qemu-img", ["bitmap", "--add", path, "b"]);
    image = readFileSync(path);
  });
  afterAll(() => both?.close());

  it.each(DAMAGES)("%s", async (_, words, damage) => {
    const bytes = Buffer.from(image);
    damage(bytes);
    for (const { folder } of [both.ours, both.theirs])
      writeFileSync(join(folder, "image.qcow2"), bytes);
    const file = { driver: "file", filename: "image.qcow2" };
    const node = { driver: "qcow2", "node-name": "d", file };
    expect(await both.ours.qmp.refusal("blockdev-add", node)).toBe(`GenericError: ${words}`);
    await both.expectEqual("blockdev-add", node);
  });

  // There nobody looks at the table of a snapshot before it is used.
  it("a snapshot has no place for its L1 table, with a reason", async () => {
    const bytes = Buffer.from(image);
    bytes.writeBigUInt64BE(512n, offsetAt(bytes, 64));
    writeFileSync(join(both.ours.folder, "image.qcow2"), bytes);
    const file = { driver: "file", filename: "image.qcow2" };
    const node = { driver: "qcow2", "node-name": "d", file };
    expect(await both.ours.qmp.refusal("blockdev-add", node)).toBe(
      "GenericError: Snapshot table entry 0 has no valid L1 table",
    );
  });

  it("the table of snapshots is longer than it may be", async () => {
    // In daemons of their own: a replay of all these metadata takes half a minute.
    const large = await startBoth();
    const bytes = Buffer.from(image);
    const table = offsetAt(bytes, 64);
    const entry = bytes.subarray(table, table + 40);
    entry.writeUInt16BE(65_535, 12);
    entry.writeUInt16BE(65_535, 14);
    const entryBytes = Math.ceil((40 + entry.readUInt32BE(36) + 2 * 65_535) / 8) * 8;
    const count = Math.ceil((64 << 20) / entryBytes);
    bytes.writeUInt32BE(count, 60);
    for (const { folder } of [large.ours, large.theirs]) {
      const path = join(folder, "image.qcow2");
      writeFileSync(path, bytes);
      const file = openSync(path, "r+");
      for (let i = 0; i < count; i++) writeSync(file, entry, 0, 40, table + i * entryBytes);
      ftruncateSync(file, table + count * entryBytes);
      closeSync(file);
    }
    const node = {
      driver: "qcow2",
      "node-name": "d",
      file: { driver: "file", filename: "image.qcow2" },
    };
    expect(await large.ours.qmp.refusal("blockdev-add", node)).toBe(
      "GenericError: Snapshot table is too big",
    );
    await large.expectEqual("blockdev-add", node);
    await large.close();
  });

  it("and the run replays", () => both.expectSound());
});
