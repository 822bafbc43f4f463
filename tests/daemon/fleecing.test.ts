// Fleecing: a guest goes on writing to a disk, while a backup program reads what was on it when it began. The same commands for
// our daemon and for qemu-storage-daemon, clients and contents included.
//
//     guest (NBD)     backup (NBD)
//        |                |
//        |             access    snapshot-access
//        |                |
//       cbw  -------------+      copy-before-write
//        |       \
//      disk     temp

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { haveTools, tool } from "../nbd-peers/live-server.ts";
import { type BothDaemons, type Peer, startBoth } from "./both-daemons.ts";

const PEER = haveTools("qemu-storage-daemon", "qemu-img", "qemu-io", "nbdcopy", "nbdinfo");
const DISK_BYTES = 4 * 1024 * 1024 + 4096;
const DATA_FROM = 65_536;

let both: BothDaemons;
beforeAll(async () => {
  if (PEER) both = await startBoth(["--object", "iothread,id=io0"], images);
});
afterAll(() => both?.close());

/** A disk with other bytes in each sector; the first cluster is zero. */
async function images(folder: string): Promise<void> {
  const disk = new Uint8Array(DISK_BYTES);
  for (let at = DATA_FROM; at < DISK_BYTES; at++) disk[at] = 1 + ((at >> 9) % 251);
  writeFileSync(join(folder, "disk.img"), disk);
  writeFileSync(join(folder, "old.img"), disk);
  const sizes = ["-f", "qcow2", join(folder, "temp.qcow2"), String(DISK_BYTES)];
  await tool("qemu-img", "create", "-q", ...sizes);
}

const cbw = (more: object = {}) => ({
  driver: "copy-before-write",
  "node-name": "cbw",
  file: "disk",
  target: "temp",
  ...more,
});
const access = { driver: "snapshot-access", "node-name": "access", file: "cbw" };
const bitmap = (node: string, name: string) => ({ bitmap: { node, name } });
const temp = { driver: "qcow2", "node-name": "temp" };
const exported = (id: string, node: string, more: object = {}) => ({
  ...{ type: "nbd", id, "node-name": node, name: id, ...more },
});
const nodes: readonly [string, object] = ["query-named-block-nodes", {}];
const graph: readonly [string, object] = ["x-debug-query-block-graph", {}];

/** Refusals, then the graph. */
const SETUP: readonly (readonly [string, object])[] = [
  ["blockdev-add", { driver: "file", "node-name": "file", filename: "disk.img" }],
  ["blockdev-add", { driver: "raw", "node-name": "disk", file: "file" }],
  ["blockdev-add", { driver: "file", "node-name": "tempfile", filename: "temp.qcow2" }],
  ["blockdev-add", { ...temp, file: "tempfile" }],
  ["blockdev-add", { driver: "null-co", "node-name": "short", size: 65536 }],
  ["blockdev-add", { driver: "copy-before-write", "node-name": "cbw", file: "disk" }],
  ["blockdev-add", { driver: "copy-before-write", "node-name": "cbw", target: "temp" }],
  ["blockdev-add", cbw({ file: "none" })],
  ["blockdev-add", cbw({ target: "none" })],
  ["blockdev-add", cbw({ bitmap: "b0" })],
  ["blockdev-add", cbw({ bitmap: { node: "disk" } })],
  ["blockdev-add", cbw(bitmap("disk", "b0"))],
  ["blockdev-add", cbw(bitmap("none", "b0"))],
  ["blockdev-add", cbw({ "on-cbw-error": "stop" })],
  ["blockdev-add", cbw({ "cbw-timeout": -1 })],
  ["blockdev-add", cbw({ "cbw-timeout": "soon" })],
  ["block-dirty-bitmap-add", { node: "short", name: "b1" }],
  ["blockdev-add", cbw(bitmap("short", "b1"))],
  nodes,
  ["blockdev-add", cbw({ "on-cbw-error": "break-snapshot", "cbw-timeout": 3 })],
  nodes,
  graph,
  ["blockdev-reopen", { options: [cbw({ "on-cbw-error": "break-snapshot" })] }],
  ["blockdev-del", { "node-name": "disk" }],
  ["blockdev-add", { driver: "snapshot-access", "node-name": "access" }],
  ["blockdev-add", { driver: "snapshot-access", "node-name": "access", file: "none" }],
  ["blockdev-add", access],
  ["blockdev-add", { ...access, "node-name": "no", file: "short" }],
  nodes,
  graph,
  ["blockdev-reopen", { options: [access] }],
  ["nbd-server-start", { addr: { type: "unix", data: { path: "nbd.sock" } } }],
  ["block-export-add", exported("guest", "cbw", { writable: true })],
  ["block-export-add", exported("backup", "access")],
  ["block-export-add", exported("direct", "disk", { writable: true })],
  ["query-block-exports", {}],
  graph,
];

/** Over, one after the other. */
const TEARDOWN: readonly (readonly [string, object])[] = [
  ["block-export-del", { id: "backup" }],
  ["block-export-del", { id: "guest", mode: "hard" }],
  ["blockdev-del", { "node-name": "cbw" }],
  ["nbd-server-stop", {}],
  ["blockdev-del", { "node-name": "access" }],
  ["blockdev-del", { "node-name": "cbw" }],
  ["blockdev-del", { "node-name": "temp" }],
  graph,
];

const uri = ({ folder }: Peer, name: string) => `nbd+unix:///${name}?socket=${folder}/nbd.sock`;
const peers = (): readonly Peer[] => [both.ours, both.theirs];

/** What a tool prints, which must not fail. */
async function run(command: string, ...args: string[]): Promise<string> {
  const { status, stdout, stderr } = await tool(command, ...args);
  expect([status, stderr, /failed/.test(stdout)]).toEqual([0, "", false]);
  return stdout;
}

/** What a guest does. */
async function guest(peer: Peer, ...commands: string[]): Promise<void> {
  const each = commands.flatMap((command) => ["-c", command]);
  await run("qemu-io", "-f", "raw", ...each, uri(peer, "guest"));
}

/** What a backup program reads is what was on the disk before. */
async function expectOld(peer: Peer): Promise<void> {
  const copy = join(peer.folder, "copy.img");
  await run("nbdcopy", uri(peer, "backup"), copy);
  expect(readFileSync(copy).equals(readFileSync(join(peer.folder, "old.img")))).toBe(true);
}

describe.skipIf(!PEER)("fleecing, as with qemu-storage-daemon", () => {
  it.each(SETUP.map(([command, args]) => [command, args] as const))("%s %j", (command, args) =>
    // How much of the disk its writes take is for each to say.
    both.expectEqual(command, args, ["actual-size"]),
  );

  it("a backup reads the old contents, whatever a guest writes meanwhile", async () => {
    for (const peer of peers()) {
      await expectOld(peer);
      await guest(peer, "write -P 77 100k 1000k", "write -P 78 4M 4k", "write -P 79 0 512");
      // qemu-storage-daemon 7.2 calls such a cluster a hole of the snapshot, though a read finds it in the target: nbdcopy loses it.
      if (peer === both.ours) await guest(peer, "write -z 2M 64k", "discard 3M 100k", "flush");
      await expectOld(peer);
      await guest(peer, "read -P 77 100k 1000k", "read -P 78 4M 4k", "read -P 79 0 512");
    }
  });

  it("while a guest writes all the time", async () => {
    const writes = Array.from(
      { length: 60 },
      (_, index) => `aio_write -q -P ${index} ${(index * 67) % 4000}k 20k`,
    );
    const load = guest(both.ours, ...writes, "aio_flush");
    for (let round = 0; round < 3; round++) await expectOld(both.ours);
    await load;
    await expectOld(both.ours);
  });

  it("qemu-img finds no difference, and maps say the same", async () => {
    const maps: unknown[] = [];
    for (const peer of peers()) {
      const old = join(peer.folder, "old.img");
      await run("qemu-img", "compare", "-f", "raw", uri(peer, "backup"), old);
      maps.push(JSON.parse(await run("nbdinfo", "--json", "--map", uri(peer, "backup"))));
    }
    expect(maps[0]).toEqual(maps[1]);
  });

  it.each(TEARDOWN.map(([command, args]) => [command, args] as const))(
    "then %s %j",
    (command, args) => both.expectEqual(command, args, ["actual-size"]),
  );

  it("and the run replays, without a finding", async () => {
    await both.theirs.qmp.execute("quit");
    await both.expectSound();
    for (const { folder } of peers()) await run("qemu-img", "check", join(folder, "temp.qcow2"));
  });
});
