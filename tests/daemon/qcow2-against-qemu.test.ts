// Images for our daemon and for Debian's qemu-storage-daemon: options are refused with the same words, and a corrupt image has the same
// event, serves the same afterwards, and is marked in the same way.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { haveTools, tool } from "../nbd-peers/live-server.ts";
import {
  daemonFolder,
  expectSound,
  type QmpClient,
  qmpClient,
  type RunningDaemon,
  removeFolder,
  startDaemon,
} from "./running-daemon.ts";

const PEER = haveTools("qemu-storage-daemon", "qemu-img", "qemu-io");
const SERVER = ["--nbd-server", "addr.type=unix,addr.path=nbd.sock"];

/** A daemon and its client. */
interface Side {
  readonly folder: string;
  readonly client: QmpClient;
}

const folders = [daemonFolder(), daemonFolder()] as const;
let daemon: RunningDaemon;
let peer: ChildProcess;
let sides: readonly [Side, Side];

beforeAll(async () => {
  if (!PEER) return;
  const [ours, theirs] = folders;
  daemon = await startDaemon(ours, SERVER);
  const socket = "socket,id=qmp,path=qmp.sock,server=on,wait=off";
  const args = [...SERVER, "--chardev", socket, "--monitor", "qmp"];
  peer = spawn("qemu-storage-daemon", args, { cwd: theirs, stdio: "ignore" });
  while (!existsSync(join(theirs, "qmp.sock"))) await new Promise((go) => setTimeout(go, 20));
  const client = (folder: string) => qmpClient(join(folder, "qmp.sock"));
  sides = [
    { folder: ours, client: await client(ours) },
    { folder: theirs, client: await client(theirs) },
  ];
});
afterAll(async () => {
  peer?.kill();
  if (PEER) {
    daemon.process.kill();
    expect(await daemon.ended).toBe(0);
    await expectSound(daemon.trace());
  }
  for (const folder of folders) removeFolder(folder);
});

/** What both sides say, ours first. */
async function both<T>(ask: (side: Side) => Promise<T>): Promise<[T, T]> {
  const [ours, theirs] = sides;
  return [await ask(ours), await ask(theirs)];
}

/** An answer, or an error as text. */
async function answer({ client }: Side, command: string, args: object): Promise<unknown> {
  try {
    return await client.execute(command, { ...args });
  } catch (error) {
    return error instanceof Error ? error.message : error;
  }
}

const IMAGE = "image.qcow2";

/** The image `bytes` in both folders. */
function putImage(bytes: Uint8Array): void {
  for (const folder of folders) writeFileSync(join(folder, IMAGE), bytes);
}

/** An image that qemu-img makes, and qemu-io writes to. */
function makeImage(create: readonly string[], ...commands: readonly string[]): Buffer {
  const path = join(folders[0], "made.qcow2");
  const run = (command: string, ...args: string[]) => {
    const { status, stderr } = spawnSync(command, args, { encoding: "utf8" });
    if (status !== 0) throw new Error(`${command} ${args.join(" ")}: ${stderr}`);
  };
  run("qemu-img", "create", "-q", "-f", "qcow2", ...create.slice(0, -1), path, create.at(-1) ?? "");
  for (const command of commands) {
    if (command.startsWith("snapshot ")) run("qemu-img", ...command.split(" "), path);
    else run("qemu-io", "-f", "qcow2", "-c", command, path);
  }
  return readFileSync(path);
}

const node = (more: object = {}) => ({
  driver: "qcow2",
  "node-name": "d",
  file: { driver: "file", "node-name": "f", filename: IMAGE },
  ...more,
});

describe.skipIf(!PEER)("options of qcow2, as qemu-storage-daemon takes or refuses them", () => {
  const OPTIONS: readonly object[] = [
    {},
    { "overlap-check": "none" },
    { "overlap-check": "some" },
    { "overlap-check": 5 },
    { "overlap-check": { template: "all", "inactive-l2": false } },
    { "overlap-check": { template: "most" } },
    { "overlap-check": { "active-l3": true } },
    { "overlap-check": { "active-l2": 1 } },
    { "cache-size": 1048576 },
    { "cache-size": "1M" },
    { "cache-size": 1, "l2-cache-size": 2 },
    { "cache-size": 1, "refcount-cache-size": 2 },
    { "cache-size": 3, "refcount-cache-size": 1, "l2-cache-size": 1 },
    { "l2-cache-size": 1048576, "refcount-cache-size": 65536 },
    { "l2-cache-size": 0 },
    { "refcount-cache-size": 0 },
    { "refcount-cache-size": 1e15 },
    { "l2-cache-entry-size": 512 },
    { "l2-cache-entry-size": 256 },
    { "l2-cache-entry-size": 65536 },
    { "l2-cache-entry-size": 131072 },
    { "l2-cache-entry-size": 3000 },
    { "cache-clean-interval": 0 },
    { "cache-clean-interval": 4294967295 },
    { "cache-clean-interval": 4294967296 },
    { "pass-discard-request": true, "pass-discard-snapshot": false, "pass-discard-other": true },
    { "pass-discard-request": "yes" },
    { "lazy-refcounts": true },
    { "no-such-option": true },
  ];

  it.each(OPTIONS.map((options) => [JSON.stringify(options), options]))(
    "%s",
    async (_, options) => {
      putImage(makeImage(["1M"]));
      const [ours, theirs] = await both(async (side) => {
        const added = await answer(side, "blockdev-add", node(options as object));
        await answer(side, "blockdev-del", { "node-name": "d" });
        return added;
      });
      expect(ours).toEqual(theirs);
    },
  );

  it("lazy refcounts in version 2", async () => {
    putImage(makeImage(["-o", "compat=0.10", "1M"]));
    const [ours, theirs] = await both((side) =>
      answer(side, "blockdev-add", node({ "lazy-refcounts": true })),
    );
    expect(ours).toEqual(theirs);
    expect(String(ours)).toContain("Lazy refcounts require a qcow2 image");
  });
});

describe.skipIf(!PEER)("a resize, as qemu-storage-daemon does or refuses it", () => {
  it.each<[string, readonly string[], readonly string[], number]>([
    ["to a part of a sector", ["1M"], [], 1_000_000],
    ["of version 2 with snapshots", ["-o", "compat=0.10", "1M"], ["snapshot -c a"], 2 << 20],
    ["of version 3 with snapshots", ["1M"], ["snapshot -c a"], 2 << 20],
    ["to more than an L1 table can hold", ["-o", "cluster_size=512", "1M"], [], 2 ** 40],
    ["to less", ["2M"], ["write 0 2M"], 1 << 20],
    ["to nothing", ["2M"], ["write 0 2M"], 0],
  ])("%s", async (_, create, commands, size) => {
    putImage(makeImage(create, ...commands));
    const [ours, theirs] = await both(async (side) => {
      await answer(side, "blockdev-add", node());
      const resized = await answer(side, "block_resize", { "node-name": "d", size });
      await answer(side, "blockdev-del", { "node-name": "d" });
      return resized;
    });
    expect(ours).toEqual(theirs);
    const [ourBytes, theirBytes] = folders.map((folder) => statSync(join(folder, IMAGE)).size);
    // There a shorter L1 table is cut off, too.
    const more = Math.abs((ourBytes ?? 0) - (theirBytes ?? 0));
    expect(more).toBeLessThanOrEqual(CLUSTER);
  });
});

/** Big-endian words of an image. */
const CLUSTER = 65_536;
const l1Of = (image: Buffer) => Number(image.readBigUInt64BE(40));
const l2Of = (image: Buffer) => Number(image.readBigUInt64BE(l1Of(image)) & 0xff_ffff_ffff_fe00n);
const COPIED = 1n << 63n;
const setEntry = (image: Buffer, cluster: number, value: bigint) => {
  image.writeBigUInt64BE(value, l2Of(image) + 8 * cluster);
};
const refcountBlock = (image: Buffer) =>
  Number(image.readBigUInt64BE(Number(image.readBigUInt64BE(48))));
const setRefcount = (image: Buffer, cluster: number, count: number) => {
  image.writeUInt16BE(count, refcountBlock(image) + 2 * cluster);
};

interface Damage {
  readonly create?: readonly string[];
  readonly prepare?: readonly string[];
  readonly damage: (image: Buffer) => void;
  readonly options?: object;
  /** What qemu-io does then. */
  readonly io: readonly string[];
  /** Whether there is an event; by default yes. */
  readonly silent?: boolean;
}

const WRITTEN = ["write -P 1 0 256k"];
const DAMAGES: readonly (readonly [string, Damage])[] = [
  [
    "an entry that names the L1 table",
    {
      damage: (image) => setEntry(image, 1, COPIED | BigInt(l1Of(image))),
      io: ["write 64k 4k", "read 0 4k"],
    },
  ],
  [
    "an entry that names the header",
    {
      damage: (image) => setEntry(image, 1, COPIED | 512n),
      io: ["write 64k 4k", "read 0 4k"],
    },
  ],
  [
    "an entry that names the refcount table",
    {
      damage: (image) => setEntry(image, 1, COPIED | BigInt(CLUSTER)),
      io: ["read 64k 4k", "write 70000 1000", "read 0 4k"],
    },
  ],
  [
    "an entry that names the refcount block",
    {
      damage: (image) => setEntry(image, 1, COPIED | BigInt(2 * CLUSTER)),
      io: ["write 64k 64k", "write 0 4k", "flush"],
    },
  ],
  [
    "an entry that names its own table",
    {
      damage: (image) => setEntry(image, 1, COPIED | BigInt(l2Of(image))),
      io: ["write 64k 4k", "read 0 4k"],
    },
  ],
  [
    "the same, unseen by the constant checks",
    {
      damage: (image) => setEntry(image, 1, COPIED | BigInt(l2Of(image))),
      options: { "overlap-check": "constant" },
      io: ["read 64k 4k", "read 0 4k"],
      silent: true,
    },
  ],
  [
    "the same, with the check of that alone",
    {
      damage: (image) => setEntry(image, 1, COPIED | BigInt(l2Of(image))),
      options: { "overlap-check": { template: "none", "active-l2": true } },
      io: ["write 64k 4k", "read 0 4k"],
    },
  ],
  [
    "a cluster of no use is not where clusters are, read",
    {
      damage: (image) => setEntry(image, 1, COPIED | BigInt(5 * CLUSTER + 512)),
      io: ["read 64k 4k", "read 0 4k"],
    },
  ],
  [
    "a cluster that is not where clusters are, written",
    {
      damage: (image) => setEntry(image, 1, COPIED | BigInt(5 * CLUSTER + 512)),
      io: ["write 70000 1000", "read 0 4k"],
    },
  ],
  [
    "zeroes that are not where clusters are, written",
    {
      damage: (image) => setEntry(image, 1, COPIED | BigInt(5 * CLUSTER + 512) | 1n),
      io: ["write 70000 1000", "read 0 4k"],
    },
  ],
  [
    "read only: it goes on",
    {
      damage: (image) => {
        setEntry(image, 1, COPIED | BigInt(5 * CLUSTER + 512));
        setEntry(image, 2, COPIED | BigInt(5 * CLUSTER + 1024));
      },
      options: { "read-only": true },
      io: ["read 64k 4k", "read 128k 4k", "read 0 4k"],
    },
  ],
  [
    "an L2 table that is not where clusters are",
    {
      damage: (image) => image.writeBigUInt64BE(COPIED | BigInt(l2Of(image) + 512), l1Of(image)),
      io: ["read 0 4k", "write 0 4k"],
    },
  ],
  [
    "the same, written",
    {
      damage: (image) => image.writeBigUInt64BE(COPIED | BigInt(l2Of(image) + 512), l1Of(image)),
      io: ["write 0 4k", "read 0 4k"],
    },
  ],
  [
    "zeroes in version 2",
    {
      create: ["-o", "compat=0.10", "1M"],
      damage: (image) => setEntry(image, 1, 1n),
      io: ["read 64k 4k", "read 0 4k"],
    },
  ],
  [
    "a refcount block that is not where clusters are",
    {
      damage: (image) =>
        image.writeBigUInt64BE(BigInt(2 * CLUSTER + 512), Number(image.readBigUInt64BE(48))),
      io: ["write 512k 4k", "read 0 4k"],
    },
  ],
  [
    "a header that is counted as free",
    {
      damage: (image) => setRefcount(image, 0, 0),
      io: ["write 512k 4k", "read 0 4k"],
    },
  ],
  [
    "an L2 table that is counted as free",
    {
      damage: (image) => setRefcount(image, l2Of(image) / CLUSTER, 0),
      io: ["write 512k 4k", "read 0 4k"],
    },
  ],
  [
    "a refcount block that is counted as free",
    {
      damage: (image) => setRefcount(image, 2, 0),
      io: ["write 512k 4k", "read 0 4k"],
    },
  ],
  [
    "data that is counted as free, and discarded",
    {
      damage: (image) => setRefcount(image, 5, 0),
      options: { discard: "unmap" },
      io: ["discard 0 64k", "flush", "read 64k 4k"],
      silent: true,
    },
  ],
  [
    "an entry that names the table of snapshots",
    {
      prepare: [...WRITTEN, "snapshot -c a", "write 0 1M"],
      damage: (image) => setEntry(image, 1, COPIED | image.readBigUInt64BE(64)),
      io: ["write 64k 4k", "read 0 4k"],
    },
  ],
  [
    "an entry that names the L2 table of a snapshot, with all checks",
    {
      prepare: [...WRITTEN, "snapshot -c a", "write 0 1M"],
      damage: (image) => {
        const l1 = Number(image.readBigUInt64BE(Number(image.readBigUInt64BE(64))));
        setEntry(image, 1, COPIED | (image.readBigUInt64BE(l1) & 0xff_ffff_ffff_fe00n));
      },
      options: { "overlap-check": "all" },
      io: ["write 64k 4k", "read 0 4k"],
    },
  ],
  [
    "a subcluster that is data and zeroes",
    {
      create: ["-o", "extended_l2=on", "1M"],
      damage: (image) => image.writeUInt32BE(1, l2Of(image) + 16 + 8),
      io: ["read 64k 4k", "read 0 4k"],
    },
  ],
];

describe.skipIf(!PEER)("a corrupt image, as qemu-storage-daemon sees it", () => {
  it.each(DAMAGES)("%s", async (_, damage) => {
    const image = makeImage(damage.create ?? ["1M"], ...(damage.prepare ?? WRITTEN));
    damage.damage(image);
    putImage(image);
    const [ours, theirs] = await both((side) => outcomeOf(side, damage));
    expect(ours).toEqual(theirs);
    expect(ours.events.length).toBe(damage.silent === true ? 0 : 1);
  });
});

/** What users see: the event, what is served, and whether the image is marked. */
async function outcomeOf(side: Side, { options, io }: Damage) {
  const { client, folder } = side;
  client.events.length = 0;
  const added = await answer(side, "blockdev-add", node(options));
  const writable = (options as { "read-only"?: boolean } | undefined)?.["read-only"] !== true;
  const exported = { type: "nbd", id: "e", "node-name": "d", writable };
  await answer(side, "block-export-add", exported);
  const served: string[] = [];
  const uri = `nbd+unix:///d?socket=${join(folder, "nbd.sock")}`;
  for (const command of io) {
    const flags = writable ? [] : ["-r"];
    const { stdout, stderr } = await tool("qemu-io", ...flags, "-f", "raw", "-c", command, uri);
    served.push(`${command}: ${(stdout + stderr).replace(/^.*\d+ ops.*$\n?/m, "")}`);
  }
  const graph = await answer(side, "query-named-block-nodes", { flat: true });
  const events = client.events.filter(({ event }) => event === "BLOCK_IMAGE_CORRUPTED");
  await answer(side, "block-export-del", { id: "e", mode: "hard" });
  if (added === undefined || typeof added === "object") await client.event("BLOCK_EXPORT_DELETED");
  const removed = await answer(side, "blockdev-del", { "node-name": "d" });
  const bytes = readFileSync(join(folder, IMAGE));
  const marked = bytes.readUInt32BE(4) === 2 ? 0 : bytes.readUInt32BE(76) & 2;
  const isRefused = typeof graph === "string" ? graph : "listed";
  return { added, events: events.map(({ data }) => data), served, isRefused, removed, marked };
}
