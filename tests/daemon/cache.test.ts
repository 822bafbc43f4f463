// What is done with the cache of the operating system: our daemon opens its files as Debian's qemu-storage-daemon does, serves the same
// over them, and says the same of them, also after a reopen.

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it, vi } from "vitest";
import { haveTools, tool } from "../nbd-peers/live-server.ts";
import {
  daemonFolder,
  expectAllSound,
  expectSound,
  type QmpClient,
  type QmpMessage,
  qmpClient,
  type RunningDaemon,
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
  writeFileSync(join(folder, "odd"), new Uint8Array(2_000_000).fill(0x5a));
  writeFileSync(join(folder, "empty"), "");
  execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", join(folder, "base"), "16M"]);
  const over = ["-b", join(folder, "base"), "-F", "qcow2", join(folder, "top"), "16M"];
  execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", ...over]);
  return folder;
}

const ARGS = [
  ...["raw,node-name=odd,cache.direct=on,file.driver=file,file.filename=odd"],
  ...["qcow2,node-name=top,cache.direct=on,file.driver=file,file.filename=top"],
  ...["file,node-name=empty,cache.direct=on,cache.no-flush=on,filename=empty"],
].flatMap((one) => ["--blockdev", one]);
const EXPORTS = [
  ...["--nbd-server", "addr.type=unix,addr.path=nbd.sock"],
  ...["odd", "top", "empty"].flatMap((name) => [
    "--export",
    `nbd,id=${name},node-name=${name},writable=on`,
  ]),
];

const O_DIRECT = 0o40000;

/** Names of the images that a process has open, those past the cache with a star. */
function openIn({ pid }: ChildProcess): string[] {
  const names = readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      const name = readlinkSync(`/proc/${pid}/fd/${fd}`).split("/").at(-1) ?? "";
      const flags = /flags:\s*(\d+)/.exec(readFileSync(`/proc/${pid}/fdinfo/${fd}`, "utf8"))?.[1];
      const isDirect = (Number.parseInt(flags ?? "0", 8) & O_DIRECT) !== 0;
      return /^(odd|empty|base|top)$/.test(name) ? [`${name}${isDirect ? "*" : ""}`] : [];
    } catch {
      return [];
    }
  });
  return names.sort();
}

/** `name: direct, no-flush` of all nodes. */
async function told(qmp: QmpClient): Promise<string[]> {
  const nodes = (await qmp.execute("query-named-block-nodes", { flat: true })) as QmpMessage[];
  return nodes
    .map(({ drv, file, cache }) => `${drv} ${file}: ${Object.entries(cache as object).sort()}`)
    .sort();
}

const REOPENED = [
  { driver: "raw", "node-name": "odd", file: { driver: "file", filename: "odd" } },
  {
    ...{ driver: "file", "node-name": "empty", filename: "empty" },
    cache: { direct: true, "no-flush": true },
  },
];

/** What clients and users see, step by step. */
async function observe(folder: string, process: ChildProcess, qmp: QmpClient): Promise<unknown[]> {
  const uri = (name: string): string => `nbd+unix:///${name}?socket=${join(folder, "nbd.sock")}`;
  const io = async (name: string, ...commands: string[]): Promise<string[]> => {
    const list = commands.flatMap((one) => ["-c", one]);
    const { stdout } = await tool("qemu-io", "-f", "raw", ...list, uri(name));
    return stdout.split("\n").filter((line) => !line.includes("sec"));
  };
  const blocks = async (name: string): Promise<string[]> =>
    (await tool("nbdinfo", uri(name))).stdout
      .split("\n")
      .filter((line) => line.includes("block_size"));
  const seen: unknown[] = [openIn(process), await told(qmp)];
  for (const name of ["odd", "top", "empty"]) seen.push(await blocks(name));
  const odd = ["write -P 7 1000 3000", "read -P 7 1000 3000", "write -P 8 1999000 900", "flush"];
  seen.push(await io("odd", ...odd, "read -P 8 1999000 900", "read -P 0x5a 4000 1000"));
  seen.push(
    await io("top", "write -P 7 1000 3000", "write -P 9 5M 1M", "read -P 9 5M 1M", "flush"),
  );
  seen.push(await qmp.execute("blockdev-reopen", { options: REOPENED }));
  seen.push(openIn(process), await told(qmp));
  seen.push(await io("odd", "read -P 7 1000 3000", "write -P 1 1 1", "read -P 1 1 1"));
  const version = {
    driver: "file",
    "node-name": "v",
    filename: "/proc/version",
    "read-only": true,
  };
  const direct = { ...version, cache: { direct: true } };
  seen.push((await qmp.refusal("blockdev-add", direct)).replace(": Invalid argument", ""));
  return seen;
}

describe.skipIf(!haveTools("qemu-storage-daemon", "qemu-img", "qemu-io", "nbdinfo"))(
  "cache",
  () => {
    it("direct and no-flush are what they are at qemu-storage-daemon", async () => {
      const [ours, theirs] = [newFolder(), newFolder()];
      const daemon: RunningDaemon = await startDaemon(ours, [...ARGS, ...EXPORTS]);
      const monitor = await qmpClient(join(ours, "qmp.sock"));
      const seen = await observe(ours, daemon.process, monitor);
      await monitor.execute("quit");
      await daemon.ended;
      const args = [
        ...["--chardev", "socket,id=qmp,path=qmp.sock,server=on,wait=off"],
        ...["--monitor", "chardev=qmp", ...ARGS, ...EXPORTS],
      ];
      const peer = spawn("qemu-storage-daemon", args, { cwd: theirs, stdio: "ignore" });
      peers.push(peer);
      while (!existsSync(join(theirs, "nbd.sock"))) await new Promise((go) => setTimeout(go, 20));
      const other = await qmpClient(join(theirs, "qmp.sock"));
      const seenThere = await observe(theirs, peer, other);
      other.close();
      const plain = (all: unknown[], folder: string): string =>
        JSON.stringify(all, null, 1).replaceAll(folder, "");
      expect(plain(seen, ours)).toBe(plain(seenThere, theirs));
      expect(seen[0]).toEqual(["base*", "empty*", "odd*", "top*"]);
      await expectSound(daemon.trace());
    });

    it.each([
      ["none", "disk*", { writeback: true, direct: true, "no-flush": false }],
      ["off", "disk*", { writeback: true, direct: true, "no-flush": false }],
      ["directsync", "disk*", { writeback: false, direct: true, "no-flush": false }],
      ["writeback", "disk", { writeback: true, direct: false, "no-flush": false }],
      ["unsafe", "disk", { writeback: true, direct: false, "no-flush": true }],
      ["writethrough", "disk", { writeback: false, direct: false, "no-flush": false }],
    ])("of a drive is %s", async (mode, isOpen, cache) => {
      const folder = newFolder();
      const drive = `id=d,file=odd,format=raw,cache=${mode}`;
      const daemon = await startDaemon(folder, ["--drive", drive]);
      const monitor = await qmpClient(join(folder, "qmp.sock"));
      expect(openIn(daemon.process)).toEqual([isOpen.replace("disk", "odd")]);
      expect(await monitor.execute("query-block")).toMatchObject([{ inserted: { cache } }]);
      await monitor.execute("quit");
      await daemon.ended;
      await expectSound(daemon.trace());
    });

    it("of a drive is refused when there is no such mode, and can be said in parts", async () => {
      const folder = newFolder();
      const wrong = await startDaemon(folder, ["--drive", "id=d,file=odd,format=raw,cache=fast"]);
      await wrong.ended;
      expect(wrong.stderr()).toContain("invalid cache option");
      const parts = "id=d,file=odd,format=raw,cache.direct=on,cache.writeback=off";
      const daemon = await startDaemon(folder, ["--drive", parts]);
      const monitor = await qmpClient(join(folder, "qmp.sock"));
      const cache = { writeback: false, direct: true, "no-flush": false };
      expect(await monitor.execute("query-block")).toMatchObject([{ inserted: { cache } }]);
      await monitor.execute("quit");
      await daemon.ended;
      await expectAllSound(folder);
    });
  },
);
