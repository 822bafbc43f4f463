// `raw` with an offset and a size, as qemu-storage-daemon has it: what is refused, what a client sees and can reach, and a reopen.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { haveTools, tool } from "../nbd-peers/live-server.ts";
import { type BothDaemons, startBoth } from "./both-daemons.ts";

const PEER = haveTools("qemu-storage-daemon", "qemu-img", "qemu-io");

let both: BothDaemons;

/** Data, a hole, data: where they are seen says where the window is. */
async function disk(folder: string): Promise<void> {
  const path = join(folder, "disk.img");
  writeFileSync(path, "");
  const commands = ["truncate 1M", "write -q -P 1 0 128k", "write -q -P 2 512k 256k"];
  await tool("qemu-io", "-f", "raw", ...commands.flatMap((one) => ["-c", one]), path);
}

beforeAll(async () => {
  if (!PEER) return;
  const nbd = ["--nbd-server", "addr.type=unix,addr.path=nbd.sock"];
  const node = ["--blockdev", "file,node-name=f0,filename=disk.img"];
  both = await startBoth([...nbd, ...node], disk);
});
afterAll(() => both?.close());

const window = (more: object) => ({ driver: "raw", "node-name": "r", file: "f0", ...more });
const nodes: readonly [string, object] = ["query-named-block-nodes", {}];

const STEPS: readonly (readonly [string, object])[] = [
  ["blockdev-add", window({ offset: -1 })],
  ["blockdev-add", window({ size: -512 })],
  ["blockdev-add", window({ offset: "1k" })],
  ["blockdev-add", window({ offset: (1 << 20) + 1 })],
  ["blockdev-add", window({ offset: 1 << 20, size: 1 })],
  ["blockdev-add", window({ offset: 512, size: 1 << 20 })],
  ["blockdev-add", window({ size: 1 })],
  ["blockdev-add", window({ offset: 65_536, size: 589_824 })],
  nodes,
  ["x-debug-query-block-graph", {}],
  ["block_resize", { "node-name": "r", size: 4096 }],
  ["block-export-add", { type: "nbd", id: "e", "node-name": "r", writable: true }],
];

const REOPENS: readonly (readonly [string, object])[] = [
  ["block-export-del", { id: "e" }],
  ["blockdev-reopen", { options: [window({ offset: 1 << 21 })] }],
  ["blockdev-reopen", { options: [window({ offset: 131_072 })] }],
  nodes,
  ["block_resize", { "node-name": "r", size: 2 << 20 }],
  ["block_resize", { "node-name": "r", size: 4096 }],
  nodes,
  ["blockdev-reopen", { options: [window({})] }],
  nodes,
];

/** What a client makes of the disk at `folder`. */
async function seen(folder: string): Promise<unknown[]> {
  const uri = `nbd+unix:///r?socket=${join(folder, "nbd.sock")}`;
  const map = await tool("qemu-img", "map", "--output=json", "-f", "raw", uri);
  const io: string[] = [];
  for (const command of [
    ...["read -P 1 0 64k", "read -P 0 64k 384k", "read -P 2 448k 128k", "read 575k 2k"],
    ...["write -P 3 560k 16k", "write -P 3 560k 17k", "discard 0 4k", "write -z 4k 4k"],
  ]) {
    const { stdout, stderr } = await tool("qemu-io", "-f", "raw", "-c", command, uri);
    io.push(`${command}: ${stdout.replace(/\n.*ops; .*\n/, "\n")}${stderr}`);
  }
  return [JSON.parse(map.stdout), io];
}

describe.skipIf(!PEER)("a raw node that is a window on its file", () => {
  it.each(STEPS.map(([command, args]) => [command, args] as const))("%s %j", (command, args) =>
    both.expectEqual(command, args),
  );

  it("shows clients what is in it, and lets them reach no more", async () => {
    expect(await seen(both.ours.folder)).toEqual(await seen(both.theirs.folder));
    const [ours, theirs] = [both.ours, both.theirs].map(({ folder }) =>
      readFileSync(join(folder, "disk.img")),
    );
    expect(ours?.equals(theirs ?? new Uint8Array())).toBe(true);
  });

  it.each(REOPENS.map(([command, args]) => [command, args] as const))("%s %j", (command, args) =>
    both.expectEqual(command, args, ["actual-size"]),
  );

  it("and the run replays, without a finding", async () => {
    await both.theirs.qmp.execute("quit");
    await both.expectSound();
  });
});
