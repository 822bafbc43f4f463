// Images made longer and shorter: block_resize says and does what it does at Debian's qemu-storage-daemon, qemu-io's truncate in the
// monitor what Debian's qemu-io does.

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it, vi } from "vitest";
import { haveTools, tool } from "../nbd-peers/live-server.ts";
import {
  daemonFolder,
  expectSound,
  type QmpClient,
  qmpClient,
  removeFolder,
  startDaemon,
} from "./running-daemon.ts";

// Two daemons, one after the other, and dozens of clients, each a process.
vi.setConfig({ testTimeout: 240_000 });

const folders: string[] = [];
const peers: ChildProcess[] = [];
afterAll(() => {
  for (const peer of peers) peer.kill();
  folders.forEach(removeFolder);
});

function newFolder(): string {
  const folder = daemonFolder();
  folders.push(folder);
  for (const name of ["raw", "fixed", "exported", "a", "b"])
    writeFileSync(join(folder, name), new Uint8Array(65_536).fill(0x5a));
  const create = (name: string, ...options: string[]): unknown =>
    execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", ...options, join(folder, name), "1M"]);
  create("q");
  create("old", "-o", "compat=0.10");
  execFileSync("qemu-img", ["snapshot", "-c", "one", join(folder, "old")]);
  // Above a backing file that is longer, from the middle of a cluster.
  writeFileSync(join(folder, "long"), new Uint8Array(4 << 20).fill(7));
  const above = ["-b", "long", "-F", "raw", join(folder, "above"), "1040K"];
  execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", "-o", "compat=0.10", ...above]);
  return folder;
}

const file = (name: string): string => `file.driver=file,file.filename=${name}`;
const ARGS = [
  ...["--blockdev", `raw,node-name=raw,${file("raw")}`],
  ...["--blockdev", `raw,node-name=fixed,read-only=on,${file("fixed")}`],
  ...["--blockdev", `raw,node-name=exported,${file("exported")}`],
  ...["--blockdev", `qcow2,node-name=q,${file("q")}`],
  ...["--blockdev", `qcow2,node-name=old,${file("old")}`],
  ...["--blockdev", `qcow2,node-name=above,${file("above")}`],
  ...["--nbd-server", "addr.type=unix,addr.path=nbd.sock"],
  ...["--export", "nbd,id=e,node-name=exported,writable=on"],
];

const RESIZES: readonly (readonly [string, number])[] = [
  ...([
    ["raw", 131_072],
    ["raw", 4096],
    ["raw", 1000],
    ["raw", 2 ** 53 - 2 ** 40],
  ] as const),
  ...([
    ["raw", -1],
    ["fixed", 4096],
    ["fixed", 65_536],
    ["exported", 131_072],
  ] as const),
  ...([
    ["q", 2 << 20],
    ["q", 1 << 19],
    ["q", 1000],
    ["old", 2 << 20],
    ["above", 2 << 20],
    ["above", 1056 << 10],
    ["above", 8 << 20],
    ["none", 512],
  ] as const),
];

/** Each answer with the length of the file, or of the disk that an image has. */
async function resizeAll(folder: string, qmp: QmpClient): Promise<string[]> {
  const seen: string[] = [];
  for (const [name, size] of RESIZES) {
    const args = { "node-name": name, size };
    const answer = await qmp.execute("block_resize", args).then(
      () => "done",
      (error: Error) => error.message,
    );
    const path = join(folder, name);
    const length =
      existsSync(path) && !["q", "old", "above"].includes(name) ? statSync(path).size : "";
    seen.push(`${name} ${size}: ${answer} ${length}`);
  }
  return seen;
}

const IO = [
  ...["truncate 128k", "truncate -m falloc 256k", "truncate -m full 300k", "truncate -m full 1k"],
  ...[
    "truncate -m metadata 1M",
    "t -m falloc 4k",
    "truncate 3k",
    "truncate -m some 1M",
    "truncate x",
  ],
];

describe.skipIf(!haveTools("qemu-storage-daemon", "qemu-img", "qemu-io"))("resizing", () => {
  it("by block_resize ends as it does at qemu-storage-daemon, in its words", async () => {
    const [ours, theirs] = [newFolder(), newFolder()];
    const daemon = await startDaemon(ours, ARGS);
    const qmp = await qmpClient(join(ours, "qmp.sock"));
    const seen = await resizeAll(ours, qmp);
    await qmp.execute("quit");
    await daemon.ended;
    const monitor = ["--chardev", "socket,id=qmp,path=qmp.sock,server=on,wait=off"];
    const args = [...monitor, "--monitor", "chardev=qmp", ...ARGS];
    const peer = spawn("qemu-storage-daemon", args, { cwd: theirs, stdio: "ignore" });
    peers.push(peer);
    while (!existsSync(join(theirs, "nbd.sock"))) await new Promise((go) => setTimeout(go, 20));
    const other = await qmpClient(join(theirs, "qmp.sock"));
    expect(seen).toEqual(await resizeAll(theirs, other));
    await other.execute("quit");
    await expectSound(daemon.trace());
  });

  it("by qemu-io's truncate takes the room that qemu-io's own does", async () => {
    const folder = newFolder();
    const blockdev = ["--blockdev", "file,node-name=a,filename=a"];
    const daemon = await startDaemon(folder, blockdev);
    const qmp = await qmpClient(join(folder, "qmp.sock"));
    for (const command of IO) {
      const line = `qemu-io a "${command}"`;
      const answer = await qmp.execute("human-monitor-command", { "command-line": line });
      const theirs = await tool("qemu-io", "-f", "raw", "-c", command, join(folder, "b"));
      const [a, b] = [statSync(join(folder, "a")), statSync(join(folder, "b"))];
      expect([command, a.size, a.blocks]).toEqual([command, b.size, b.blocks]);
      // What a command prints is on the standard output, where it is by another way.
      const why = theirs.stderr.replaceAll("qemu-io: ", "").trim();
      expect([command, String(answer).trim()]).toEqual([command, why]);
    }
    await qmp.execute("quit");
    await daemon.ended;
    await expectSound(daemon.trace());
  });
});
