// Where data and holes are: nbdinfo and qemu-img at our daemon and at Debian's qemu-storage-daemon are told the same of the same images.

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it, vi } from "vitest";
import { haveTools, tool } from "../nbd-peers/live-server.ts";
import {
  daemonFolder,
  expectSound,
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

/** Each image with its format: a raw file that ends within a sector, qcow2, with metadata for what is not written, and a chain. */
const IMAGES = { raw: "raw", plain: "qcow2", places: "qcow2", top: "qcow2" } as const;
const NAMES = Object.keys(IMAGES) as (keyof typeof IMAGES)[];

async function newImages(): Promise<string> {
  const folder = daemonFolder();
  folders.push(folder);
  const at = (name: string): string => join(folder, name);
  const io = (name: "raw" | "plain" | "places" | "top", ...commands: string[]) =>
    tool("qemu-io", "-f", IMAGES[name], ...commands.flatMap((one) => ["-c", one]), at(name));
  writeFileSync(at("raw"), "");
  await io("raw", "truncate 10000001", "write 640k 192k", "write 3M 64k", "write 9999990 11");
  await tool("qemu-img", "create", "-f", "qcow2", at("plain"), "16M");
  await io("plain", "write 1M 1M", "write 5M 100k", "write -z 9M 1M");
  await tool(
    "qemu-img",
    "create",
    "-f",
    "qcow2",
    "-o",
    "preallocation=metadata",
    at("places"),
    "4M",
  );
  await io("places", "write 1M 1M");
  const backing = ["-b", at("plain"), "-F", "qcow2"];
  await tool("qemu-img", "create", "-f", "qcow2", ...backing, at("top"), "20M");
  await io("top", "write 3M 64k", "write 17M 1k");
  return folder;
}

const ARGS = [
  ...["--nbd-server", "addr.type=unix,addr.path=nbd.sock"],
  ...NAMES.flatMap((name) => {
    const isBacking = name === "plain";
    const options = isBacking ? ",read-only=on" : ",discard=unmap";
    const writable = isBacking ? "" : ",writable=on";
    return [
      "--blockdev",
      `${IMAGES[name]},node-name=${name}${options},file.driver=file,file.filename=${name}`,
      ...["--export", `nbd,id=${name},node-name=${name},allocation-depth=on${writable}`],
    ];
  }),
];

const uri = (folder: string, name: string): string =>
  `nbd+unix:///${name}?socket=${join(folder, "nbd.sock")}`;

/** What the two clients print of each image. */
async function mapsAt(folder: string): Promise<Record<string, string>> {
  const maps: Record<string, string> = {};
  for (const name of NAMES) {
    const image = uri(folder, name);
    maps[`${name} allocation`] = (await tool("nbdinfo", "--map", image)).stdout;
    const depth = await tool("nbdinfo", "--map=qemu:allocation-depth", image);
    maps[`${name} depth`] = depth.stdout;
    maps[`${name} map`] = (
      await tool("qemu-img", "map", "-f", "raw", "--output=json", image)
    ).stdout;
  }
  return maps;
}

/** Holes and data where the other was. */
async function change(folder: string): Promise<void> {
  const commands = ["discard 640k 64k", "write 4M 64k", "write -z -u 3M 64k", "discard 1M 64k"];
  for (const name of ["raw", "places", "top"])
    await tool(
      ...(["qemu-io", "-f", "raw", "-d", "unmap"] as const),
      ...commands
        .filter((one) => name !== "places" || !one.includes("4M"))
        .flatMap((one) => ["-c", one]),
      uri(folder, name),
    );
}

async function quit(daemon: RunningDaemon): Promise<void> {
  const monitor = await qmpClient(join(daemon.folder, "qmp.sock"));
  await monitor.execute("quit");
  await daemon.ended;
}

describe.skipIf(!haveTools("qemu-storage-daemon", "qemu-img", "qemu-io", "nbdinfo"))(
  "the block status of exports",
  () => {
    it("is that of qemu-storage-daemon, also after discards, zeroes and writes", async () => {
      const [ours, theirs] = [await newImages(), await newImages()];
      const daemon = await startDaemon(ours, ARGS);
      const first = await mapsAt(ours);
      await change(ours);
      const second = await mapsAt(ours);
      await quit(daemon);
      const peer = spawn("qemu-storage-daemon", ARGS, { cwd: theirs, stdio: "ignore" });
      peers.push(peer);
      while (!existsSync(join(theirs, "nbd.sock"))) await new Promise((go) => setTimeout(go, 20));
      expect(first).toEqual(await mapsAt(theirs));
      await change(theirs);
      expect(second).toEqual(await mapsAt(theirs));
      expect(first).not.toEqual(second);
      peer.kill();
      await expectSound(daemon.trace());
    });

    it("without perl has no holes, and nothing waits for it", async () => {
      const folder = await newImages();
      const empty = join(folder, "bin");
      mkdirSync(empty);
      const daemon = await startDaemon(folder, ARGS, { PATH: empty, QUIESCE_NO_BUILD: "1" });
      const raw = uri(folder, "raw");
      const whole = "         0    10000384    0  data\n";
      expect((await tool("nbdinfo", "--map", raw)).stdout).toBe(whole);
      await change(folder);
      expect((await tool("nbdinfo", "--map", raw)).stdout).toBe(whole);
      const read = ["-c", "read -P 0 3M 64k", "-c", "read -P 0xcd 704k 64k"];
      expect((await tool("qemu-io", "-f", "raw", ...read, raw)).stdout).not.toContain("failed");
      await quit(daemon);
      await expectSound(daemon.trace());
    });
  },
);
