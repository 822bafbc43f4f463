// What becomes of discards and zeroes: the same clients at our daemon and at Debian's qemu-storage-daemon leave the same blocks
// allocated, whatever the option `discard` says, and read the same.

import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { haveTools, tool } from "../nbd-peers/live-server.ts";
import {
  daemonFolder,
  expectSound,
  qmpClient,
  removeFolder,
  startDaemon,
} from "./running-daemon.ts";

const folders: string[] = [];
const peers: ChildProcess[] = [];
afterAll(() => {
  for (const peer of peers) peer.kill();
  folders.forEach(removeFolder);
});

const FORMATS = ["raw", "qcow2"] as const;

/** For each image, which begins with a megabyte of data. */
const COMMANDS = [
  ["-c", "discard 64k 128k"],
  ["-c", "write -z 256k 64k"],
  ["-c", "write -z -u 384k 64k"],
  ["-c", "discard 1000k 24k"],
  ["-c", "write -z -u 500k 3k"],
  ["-c", "write -P 0 704k 128k"],
  // Fast or not at all: not at all within a cluster of data, and at once within one of zeroes.
  ["-c", "write -z -n 900k 3k"],
  ["-c", "write -z -n 130k 3k"],
  ["-c", "flush"],
].flat();

async function newImages(): Promise<string> {
  const folder = daemonFolder();
  folders.push(folder);
  const data = join(folder, "data");
  writeFileSync(data, new Uint8Array(1 << 20).fill(0x5a));
  for (const format of FORMATS)
    await tool("qemu-img", "convert", "-f", "raw", "-O", format, data, join(folder, format));
  return folder;
}

const argsOf = (option: string): string[] => [
  ...["--nbd-server", "addr.type=unix,addr.path=nbd.sock"],
  ...FORMATS.flatMap((format) => [
    ...[
      "--blockdev",
      `${format},node-name=${format},${option}file.driver=file,file.filename=${format}`,
    ],
    ...["--export", `nbd,id=${format},node-name=${format},writable=on`],
  ]),
];

async function runClients(folder: string): Promise<void> {
  for (const format of FORMATS) {
    const url = `nbd+unix:///${format}?socket=${join(folder, "nbd.sock")}`;
    await tool("qemu-io", "-f", "raw", "-d", "unmap", ...COMMANDS, url);
  }
}

interface MapEntry {
  readonly start: number;
  readonly length: number;
  readonly zero: boolean;
  readonly data: boolean;
}

/** Allocated pieces of 64 KiB of a raw file, what is allocated in the image, and its contents. */
async function leftIn(folder: string, format: string) {
  const image = join(folder, format);
  const map = await tool("qemu-img", "map", "--output=json", "-f", format, image);
  const flat = join(folder, "flat");
  await tool("qemu-img", "convert", "-f", format, "-O", "raw", image, flat);
  return {
    // Blocks of the file system's own are among them.
    pieces: format === "raw" ? Math.round((statSync(image).blocks * 512) / 65_536) : null,
    map: (JSON.parse(map.stdout) as MapEntry[]).map(({ start, length, zero, data }) => {
      return { start, length, zero, data };
    }),
    contents: createHash("sha256").update(readFileSync(flat)).digest("hex"),
  };
}

describe.skipIf(!haveTools("qemu-storage-daemon", "qemu-img", "qemu-io"))(
  "discards and zeroes",
  () => {
    it.each(["", "discard=unmap,", "discard=unmap,detect-zeroes=unmap,"])(
      "with '%s' leave what they leave at qemu-storage-daemon",
      async (option) => {
        const [ours, theirs] = [await newImages(), await newImages()];
        const daemon = await startDaemon(ours, argsOf(option));
        await runClients(ours);
        const monitor = await qmpClient(join(ours, "qmp.sock"));
        await monitor.execute("quit");
        await daemon.ended;
        const how = { cwd: theirs, stdio: "ignore" } as const;
        const peer = spawn("qemu-storage-daemon", argsOf(option), how);
        peers.push(peer);
        while (!existsSync(join(theirs, "nbd.sock"))) await new Promise((go) => setTimeout(go, 20));
        await runClients(theirs);
        peer.kill();
        await new Promise((resolve) => peer.once("exit", resolve));
        for (const format of FORMATS)
          expect(await leftIn(ours, format)).toEqual(await leftIn(theirs, format));
        await expectSound(daemon.trace());
      },
    );
  },
);
