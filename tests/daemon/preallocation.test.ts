// A qcow2 image that grows with places taken beforehand: `truncate -m` of qemu-io in the monitor against `qemu-img resize
// --preallocation`, on copies of one image. The maps are equal but for where in the file clusters are, both images are clean,
// and they take as much of the disk.

import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { haveTools } from "../nbd-peers/live-server.ts";
import { qemu, qemuCheck } from "../qcow2/test-support.ts";
import {
  daemonFolder,
  expectSound,
  qmpClient,
  removeFolder,
  startDaemon,
} from "./running-daemon.ts";

const folders: string[] = [];
afterEach(() => {
  for (const folder of folders.splice(0)) removeFolder(folder);
});

const MIB = 1 << 20;

interface Growth {
  /** Options of qemu-img create. */
  readonly options: string;
  readonly from: number;
  readonly to: number;
  /** Commands of qemu-io before. */
  readonly writes?: readonly string[];
  readonly backing?: number;
}

const PLAIN: Growth = { options: "cluster_size=64k", from: MIB, to: 5 * MIB };

/** Images, and how long they get. */
const IMAGES: readonly (readonly [string, Growth])[] = [
  ["an empty image", PLAIN],
  [
    "small clusters, more than a refcount block counts",
    { options: "cluster_size=512", from: MIB, to: 9 * MIB },
  ],
  ["version 2", { ...PLAIN, options: "compat=0.10" }],
  ["lazy refcounts", { ...PLAIN, options: "lazy_refcounts=on" }],
  ["counts of one bit", { ...PLAIN, options: "refcount_bits=1,cluster_size=4k" }],
  ["data up to the end", { ...PLAIN, writes: ["write -P 5 512k 512k"] }],
  ["an old end in the middle of a cluster without data", { ...PLAIN, from: MIB + 512 }],
  [
    "an old end in the middle of a cluster with data",
    { ...PLAIN, from: MIB + 4096, writes: ["write -P 5 1M 1k"] },
  ],
  [
    "both ends in the middle of a cluster",
    { ...PLAIN, from: MIB - 512, to: 3 * MIB - 512, writes: ["write -P 5 0 900k"] },
  ],
  [
    "a little, in one cluster",
    { ...PLAIN, from: MIB - 4096, to: MIB - 512, writes: ["write -P 5 1000k 4k"] },
  ],
  ["a longer backing file", { ...PLAIN, backing: 4 * MIB }],
  [
    "a longer backing file, an old end in a cluster",
    { ...PLAIN, from: MIB + 512, backing: 4 * MIB },
  ],
  ["a shorter backing file", { ...PLAIN, backing: MIB / 2 }],
  [
    "a backing file as long as the new disk",
    { ...PLAIN, backing: 5 * MIB, writes: ["write -P 5 0 1M"] },
  ],
  ["subclusters", { ...PLAIN, options: "extended_l2=on" }],
  ["subclusters, an old end in one", { ...PLAIN, options: "extended_l2=on", from: MIB + 512 }],
  [
    "subclusters, an old end in a cluster with data",
    { ...PLAIN, options: "extended_l2=on", from: MIB + 8192, writes: ["write -P 5 1M 2k"] },
  ],
  [
    "subclusters and a longer backing file",
    { ...PLAIN, options: "extended_l2=on", backing: 4 * MIB },
  ],
  ["an external data file", { ...PLAIN, options: "data_file=DATA" }],
  ["a raw external data file", { ...PLAIN, options: "data_file=DATA,data_file_raw=on" }],
  ["an external data file and subclusters", { ...PLAIN, options: "data_file=DATA,extended_l2=on" }],
  [
    "an external data file, an old end in a cluster",
    { ...PLAIN, options: "data_file=DATA", from: MIB + 512 },
  ],
];
const MODES = ["off", "metadata", "falloc", "full"] as const;

/** The image `name` in `folder`, by QEMU's programs. */
function make(folder: string, name: string, { options, from, writes = [], backing }: Growth): void {
  const path = join(folder, name);
  const below: string[] = [];
  if (backing !== undefined) {
    const base = join(folder, "base");
    qemu("qemu-img", "create", "-q", "-f", "raw", base, String(backing));
    qemu("qemu-io", "-f", "raw", "-c", `write -q -P 9 0 ${backing}`, base);
    below.push("-b", "base", "-F", "raw");
  }
  const named = options.replace("DATA", `${path}.data`);
  qemu("qemu-img", "create", "-q", "-f", "qcow2", "-o", named, ...below, path, String(from));
  for (const one of writes) qemu("qemu-io", "-f", "qcow2", "-c", one, path);
}

interface MapEntry {
  readonly start: number;
  length: number;
  readonly depth: number;
  readonly present: boolean;
  readonly zero: boolean;
  readonly data: boolean;
}

/** `qemu-img map`, but for what the file knows of data: where it is, and which of it are holes. */
function mapOf(path: string): object[] {
  const map = qemu("qemu-img", "map", "--output=json", "-f", "qcow2", path);
  const merged: (MapEntry & { readonly kind: string })[] = [];
  for (const { start, length, depth, present, zero, data } of JSON.parse(map) as MapEntry[]) {
    const kind = `${depth} ${present} ${data ? "data" : zero}`;
    const last = merged.at(-1);
    if (last?.kind === kind) last.length += length;
    else merged.push({ start, length, depth, present, zero: !data && zero, data, kind });
  }
  return merged;
}

const bytesOf = (path: string) => (existsSync(path) ? statSync(path).blocks * 512 : 0);
const sizeOf = (path: string) => (existsSync(path) ? statSync(path).size : 0);

/** One node for each mode, each resized in its mode by one daemon, whose recording is sound. */
async function resizeOurs(folder: string, to: number): Promise<void> {
  const nodes = MODES.flatMap((mode) => [
    ...["--blockdev", `qcow2,node-name=${mode},file.driver=file,file.filename=${mode}`],
  ]);
  const daemon = await startDaemon(folder, nodes);
  expect(daemon.stderr()).toBe("");
  const qmp = await qmpClient(join(folder, "qmp.sock"));
  for (const mode of MODES) {
    const line = `qemu-io ${mode} "truncate -m ${mode} ${to}"`;
    expect(await qmp.execute("human-monitor-command", { "command-line": line })).toBe("");
  }
  await qmp.execute("quit");
  expect(await daemon.ended).toBe(0);
  await expectSound(daemon.trace());
}

/** Some fifty processes for each image; with small clusters that takes ten seconds, and a minute on a machine that is busy. */
const LONG = { timeout: 300_000 };

describe.skipIf(!haveTools("qemu-img", "qemu-io"))("a qcow2 image grows", LONG, () => {
  it.each(IMAGES)("%s, in each mode, as qemu-img resize makes it", async (_name, growth) => {
    const [ours, theirs] = [daemonFolder(), daemonFolder()];
    folders.push(ours, theirs);
    for (const mode of MODES) {
      for (const folder of [ours, theirs]) make(folder, mode, growth);
      const how = ["resize", "-q", `--preallocation=${mode}`, "-f", "qcow2"];
      qemu("qemu-img", ...how, join(theirs, mode), String(growth.to));
    }
    await resizeOurs(ours, growth.to);
    for (const mode of MODES) {
      const [our, their] = [join(ours, mode), join(theirs, mode)];
      expect([mode, qemuCheck(our)]).toEqual([mode, ""]);
      expect([mode, ...mapOf(our)]).toEqual([mode, ...mapOf(their)]);
      const compared = qemu("qemu-img", "compare", "-f", "qcow2", "-F", "qcow2", our, their);
      expect([mode, compared]).toEqual([mode, expect.stringContaining("identical")]);
      expect([mode, sizeOf(`${our}.data`)]).toEqual([mode, sizeOf(`${their}.data`)]);
      const [taken, theirsTakes] = [our, their].map(
        (path) => bytesOf(path) + bytesOf(`${path}.data`),
      );
      expect(Math.abs((taken ?? 0) - (theirsTakes ?? 0)), mode).toBeLessThan(512 * 1024);
    }
  });

  it("and what freed clusters held does not come back", async () => {
    const folder = daemonFolder();
    folders.push(folder);
    make(folder, "disk", { ...PLAIN, writes: ["write -P 5 0 1M", "discard 0 1M"] });
    const blockdev = ["--blockdev", "qcow2,node-name=q,file.driver=file,file.filename=disk"];
    const daemon = await startDaemon(folder, blockdev);
    const qmp = await qmpClient(join(folder, "qmp.sock"));
    for (const mode of ["metadata", "falloc"]) {
      const size = mode === "metadata" ? 2 * MIB : 3 * MIB;
      const line = `qemu-io q "truncate -m ${mode} ${size}"`;
      expect(await qmp.execute("human-monitor-command", { "command-line": line })).toBe("");
    }
    const refused = 'qemu-io q "truncate -m full 1M"';
    expect(await qmp.execute("human-monitor-command", { "command-line": refused })).toContain(
      "Preallocation can't be used for shrinking an image",
    );
    await qmp.execute("quit");
    await daemon.ended;
    expect(qemuCheck(join(folder, "disk"))).toBe("");
    const read = qemu("qemu-io", "-f", "qcow2", "-c", "read -P 0 0 3M", join(folder, "disk"));
    expect(read).not.toContain("failed");
    await expectSound(daemon.trace());
  });
});
