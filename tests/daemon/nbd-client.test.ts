// The NBD client against servers that no one here wrote: qemu-nbd, and nbdkit with its filters that delay and fail.

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { haveTools } from "../nbd-peers/live-server.ts";
import { NO_QEMU, qemu } from "../qcow2/test-support.ts";
import { runQemuIo } from "./qemu-io-lines.ts";
import {
  daemonFolder,
  expectSound,
  type QmpClient,
  qmpClient,
  type RunningDaemon,
  removeFolder,
  startDaemon,
} from "./running-daemon.ts";

let folder: string;
const servers: ChildProcess[] = [];
beforeEach(() => {
  folder = daemonFolder();
});
afterEach(() => {
  for (const server of servers.splice(0)) server.kill("SIGKILL");
  removeFolder(folder);
});

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Start a server that listens at `socket` of the folder. */
async function serve(socket: string, command: string, ...args: string[]): Promise<ChildProcess> {
  const server = spawn(command, args, { cwd: folder, stdio: "ignore" });
  servers.push(server);
  while (!existsSync(join(folder, socket))) await pause(10);
  return server;
}

/** A daemon with a node "disk" that is a client. */
async function client(
  socket: string,
  options: Readonly<Record<string, unknown>> = {},
): Promise<{ daemon: RunningDaemon; qmp: QmpClient }> {
  const server = { type: "unix", path: socket };
  const disk = { driver: "nbd", "node-name": "disk", server, discard: "unmap", ...options };
  const daemon = await startDaemon(folder, [
    ...["--object", "iothread,id=io0", "--blockdev", JSON.stringify(disk)],
  ]);
  expect(daemon.stderr()).toBe("");
  const qmp = await qmpClient(join(folder, "qmp.sock"));
  await qmp.execute("x-blockdev-set-iothread", { "node-name": "disk", iothread: "io0" });
  return { daemon, qmp };
}

/** Commands of qemu-io on the node; the first line that each prints. */
const run = (
  peer: { daemon: RunningDaemon; qmp: QmpClient },
  ...commands: string[]
): Promise<string[]> => runQemuIo(peer, "disk", commands);

describe.skipIf(NO_QEMU !== "" || !haveTools("nbdkit", "qemu-nbd"))(
  `the NBD client of the daemon${NO_QEMU}`,
  () => {
    it("reads, writes and maps what qemu-nbd exports, and finds it again when it is back", async () => {
      qemu("qemu-img", "create", "-q", "-f", "qcow2", join(folder, "disk.qcow2"), "1M");
      qemu("qemu-io", "-f", "qcow2", "-c", "write -P 7 64k 64k", join(folder, "disk.qcow2"));
      const args = ["-k", join(folder, "nbd.sock"), "-x", "exp", "-f", "qcow2", "-t", "disk.qcow2"];
      const first = await serve("nbd.sock", "qemu-nbd", ...args);
      const peer = await client("nbd.sock", { export: "exp", "reconnect-delay": 30 });
      expect(
        await run(
          peer,
          "read -P 7 64k 64k",
          "write -P 9 128k 4k",
          "write -z 64k 4k",
          "discard 200k 64k",
        ),
      ).toEqual([
        "read 65536/65536 bytes at offset 65536",
        "wrote 4096/4096 bytes at offset 131072",
        "wrote 4096/4096 bytes at offset 65536",
        "discard 65536/65536 bytes at offset 204800",
      ]);
      // What was not flushed may be lost with the server.
      await peer.qmp.execute("human-monitor-command", { "command-line": 'qemu-io disk "flush"' });
      first.kill("SIGKILL");
      await new Promise((resolve) => first.once("exit", resolve));
      const waiting = run(peer, "read -P 9 128k 4k");
      await pause(300);
      await serve("nbd.sock", "qemu-nbd", ...args);
      expect(await waiting).toEqual(["read 4096/4096 bytes at offset 131072"]);
      await peer.qmp.execute("quit");
      expect(await peer.daemon.ended).toBe(0);
      await expectSound(peer.daemon.trace());
    });

    it("tells errors of nbdkit apart, takes its delays, and keeps to its block sizes", async () => {
      const filters = ["--filter=error", "--filter=delay", "--filter=blocksize-policy"];
      const sizes = ["blocksize-minimum=4096", "blocksize-preferred=4096", "blocksize-maximum=64k"];
      const failing = [
        "error-pwrite=ENOSPC",
        "error-pwrite-rate=1",
        "error-trim=EPERM",
        "error-trim-rate=1",
      ];
      const args = ["-f", "-U", "kit.sock", ...filters, "memory", "1M", "rdelay=20ms", ...sizes];
      await serve("kit.sock", "nbdkit", ...args, ...failing, "blocksize-error-policy=error");
      const peer = await client("kit.sock");
      expect(
        await run(
          peer,
          "read -P 0 0 512",
          "read -P 0 1k 200k",
          "write 4k 4k",
          "discard 0 4k",
          "read 0 4k",
        ),
      ).toEqual([
        "read 512/512 bytes at offset 0",
        "read 204800/204800 bytes at offset 1024",
        "write failed: No space left on device",
        "discard failed: Operation not permitted",
        "read 4096/4096 bytes at offset 0",
      ]);
      await peer.qmp.execute("quit");
      expect(await peer.daemon.ended).toBe(0);
      await expectSound(peer.daemon.trace());
    });

    it("says in one sentence why there is no node", async () => {
      const missing = await startDaemon(folder, [
        "--blockdev",
        "nbd,node-name=a,server.type=unix,server.path=none",
      ]);
      expect(missing.stderr()).toContain("Failed to connect to 'none': No such file or directory");
      await serve("kit.sock", "nbdkit", "-f", "-r", "-U", "kit.sock", "memory", "1M");
      const path = "server.type=unix,server.path=kit.sock";
      const readOnly = await startDaemon(folder, ["--blockdev", `nbd,node-name=a,${path}`]);
      expect(readOnly.stderr()).toContain("NBD export is read-only");
      const context = `nbd,node-name=a,read-only=on,x-dirty-bitmap=qemu:allocation-depth,${path}`;
      const none = await startDaemon(folder, ["--blockdev", context]);
      expect(none.stderr()).toContain("requested x-dirty-bitmap qemu:allocation-depth not found");
    });
  },
);
