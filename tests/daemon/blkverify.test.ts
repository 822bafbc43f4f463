// Where the two nodes of blkverify differ the daemon ends, as qemu-storage-daemon does, with its words and exit code; the recording ends
// there too, and a replay comes to the same end.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { quiesce } from "../cli/test-support.ts";
import { haveTools, tool } from "../nbd-peers/live-server.ts";
import { daemonFolder, removeFolder, runningIn, startDaemon } from "./running-daemon.ts";

let folder: string;
beforeEach(() => {
  folder = daemonFolder();
  const bytes = new Uint8Array(65_536);
  writeFileSync(join(folder, "raw"), bytes);
  bytes[5000] = 1;
  writeFileSync(join(folder, "test"), bytes);
});
afterEach(() => removeFolder(folder));

/** What is read through, at the socket `socket`. */
const nodes = (driver: string, socket: string) => [
  ...["--blockdev", `node-name=v,${driver}`],
  ...["--nbd-server", `addr.type=unix,addr.path=${socket}`],
  ...["--export", "nbd,id=e,node-name=v"],
];
const of = (name: string, filename: string) => `${name}.driver=file,${name}.filename=${filename}`;

const DRIVERS = [
  [`driver=blkverify,${of("test", "test")},${of("raw", "raw")}`, "blkverify: read offset=4096"],
  [
    `driver=quorum,blkverify=on,vote-threshold=2,${of("children.0", "test")},${of("children.1", "raw")}`,
    "quorum: offset=4096",
  ],
] as const;

/** A client reads what is alike, then what is not; the server ends meanwhile. */
async function read(socket: string): Promise<void> {
  const uri = `nbd+unix:///v?socket=${join(folder, socket)}`;
  await tool("qemu-io", "-r", "-f", "raw", "-c", "read 0 4k", "-c", "read 4k 4k", uri);
}

/** What qemu-storage-daemon says, and its exit code. */
async function theirEnd(driver: string): Promise<readonly [string, unknown]> {
  const pidfile = join(folder, "theirs.pid");
  const args = [...nodes(driver, "theirs.sock"), "--pidfile", pidfile];
  const peer = runningIn(folder, spawn("qemu-storage-daemon", args, { cwd: folder }));
  let said = "";
  peer.stderr?.on("data", (chunk: Buffer) => {
    said += chunk.toString();
  });
  const closed = once(peer, "close");
  while (!existsSync(pidfile)) await new Promise((go) => setTimeout(go, 20));
  await read("theirs.sock");
  const [code] = await closed;
  return [said, code];
}

describe.skipIf(!haveTools("qemu-storage-daemon", "qemu-io"))(
  "two nodes that must not differ",
  () => {
    it.each(DRIVERS)(
      "%s: end the daemon where they do, and its replay there",
      async (driver, words) => {
        const daemon = await startDaemon(folder, nodes(driver, "ours.sock"));
        expect(daemon.stderr()).toBe("");
        await read("ours.sock");
        const code = await daemon.ended;
        expect(daemon.stderr()).toBe(`${words} bytes=4096 contents mismatch at offset 5000\n`);
        expect([daemon.stderr(), code]).toEqual(await theirEnd(driver));
        const replay = await quiesce(["replay", daemon.trace(), "--json"]);
        expect(JSON.parse(replay.stdout)).toMatchObject({ identical: true });
        const races = await quiesce(["races", daemon.trace(), "--json"]);
        const findings: { readonly rule: string }[] = JSON.parse(races.stdout).findings;
        expect(findings.map(({ rule }) => rule)).toEqual(["modelled-assertion"]);
      },
    );
  },
);
