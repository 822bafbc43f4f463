// The daemon as users have it: a process, controlled over QMP, serving tools of Debian's, recorded, ended, and replayed.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { quiesce } from "../cli/test-support.ts";
import { haveTools, tool } from "../nbd-peers/live-server.ts";
import {
  daemonFolder,
  expectSound,
  QmpClient,
  removeFolder,
  startDaemon,
} from "./running-daemon.ts";

let folder: string;
beforeEach(() => {
  folder = daemonFolder();
  writeFileSync(join(folder, "disk.img"), new Uint8Array(1024 * 1024));
});
afterEach(() => removeFolder(folder));

const DISK = [
  ...["--object", "iothread,id=io0"],
  ...["--blockdev", "driver=file,node-name=f0,filename=disk.img"],
  ...["--blockdev", '{"driver": "raw", "node-name": "disk0", "file": "f0"}'],
];
const SERVED = [
  ...DISK,
  ...["--nbd-server", "addr.type=unix,addr.path=nbd.sock"],
  ...["--export", "nbd,id=e0,node-name=disk0,iothread=io0,writable=on"],
];

describe("quiesce daemon", () => {
  it.skipIf(!haveTools("qemu-io"))("serves, is controlled, quits, and replays", async () => {
    const daemon = await startDaemon(folder, SERVED);
    const uri = `nbd+unix:///disk0?socket=${join(folder, "nbd.sock")}`;
    const io = await tool(
      "qemu-io",
      "-f",
      "raw",
      uri,
      "-c",
      "write -P 7 0 64k",
      "-c",
      "read -P 7 0 64k",
    );
    expect(io.stdout).toContain("read 65536/65536");
    const qmp = await QmpClient.connect(join(folder, "qmp.sock"));
    expect(await qmp.next()).toMatchObject({ QMP: { capabilities: ["oob"] } });
    expect(await qmp.run("query-version")).toMatchObject({
      error: {
        class: "CommandNotFound",
        desc: "Expecting capabilities negotiation with 'qmp_capabilities'",
      },
    });
    expect(await qmp.run("qmp_capabilities")).toEqual({ return: {} });
    const add = { driver: "null-co", "node-name": "n0", size: 4096 };
    expect(await qmp.run("blockdev-add", add)).toEqual({ return: {} });
    expect(await qmp.run("blockdev-add", add)).toMatchObject({
      error: { desc: "Duplicate nodes with node-name='n0'" },
    });
    expect(await qmp.run("blockdev-del", { "node-name": "disk0" })).toMatchObject({
      error: { desc: "Node disk0 is in use" },
    });
    expect(await qmp.run("x-debug-query-block-graph")).toMatchObject({
      return: {
        edges: [
          { name: "file", perm: ["write", "consistent-read"] },
          { name: "root", perm: ["write", "consistent-read"] },
        ],
      },
    });
    expect(await qmp.run("block-export-del", { id: "e0" })).toMatchObject({
      event: "BLOCK_EXPORT_DELETED",
    });
    expect(await qmp.next()).toEqual({ return: {} });
    qmp.write('{"execute": "query-block-exports", "id": 7} nonsense {"execute": "quit"}');
    expect(await qmp.next()).toEqual({ return: [], id: 7 });
    expect(await qmp.next()).toMatchObject({ error: { class: "GenericError" } });
    expect(await qmp.next()).toEqual({ return: {} });
    expect(await qmp.next()).toMatchObject({
      event: "SHUTDOWN",
      data: { guest: false, reason: "host-qmp-quit" },
    });
    expect(await daemon.ended).toBe(0);
    await expectSound(daemon.trace());
  });

  it.skipIf(!haveTools("qemu-img", "nbdcopy"))("serves qcow2 above its backing file", async () => {
    const path = (name: string) => join(folder, name);
    writeFileSync(path("base.img"), new Uint8Array(1024 * 1024).fill(1));
    const create = ["create", "-q", "-f", "qcow2", "-b", "base.img", "-F", "raw"];
    await tool("qemu-img", ...create, path("top.qcow2"));
    const daemon = await startDaemon(folder, [
      ...["--object", "iothread,id=io0"],
      ...["--blockdev", "qcow2,node-name=top,file.driver=file,file.filename=top.qcow2"],
      ...["--nbd-server", "addr.type=unix,addr.path=nbd.sock"],
      ...["--export", "nbd,id=e0,node-name=top,iothread=io0,writable=on"],
    ]);
    const uri = `nbd+unix:///top?socket=${path("nbd.sock")}`;
    const io = ["-c", "write -P 2 64k 64k", "-c", "read -P 1 0 64k", "-c", "read -P 2 64k 64k"];
    expect((await tool("qemu-io", "-f", "raw", uri, ...io)).stdout).toContain("wrote 65536/65536");
    await tool("nbdcopy", uri, path("copy.img"));
    daemon.process.kill("SIGTERM");
    expect(await daemon.ended).toBe(0);
    expect(await tool("qemu-img", "check", path("top.qcow2"))).toMatchObject({ status: 0 });
    const same = await tool("qemu-img", "compare", path("copy.img"), path("top.qcow2"));
    expect(same).toMatchObject({ status: 0 });
    await expectSound(daemon.trace());
  });

  it("ends on SIGTERM as on quit, with everything recorded", async () => {
    const daemon = await startDaemon(folder, SERVED);
    daemon.process.kill("SIGTERM");
    expect(await daemon.ended).toBe(0);
    await expectSound(daemon.trace());
  });

  it.each([
    [["--blockdev", "driver=vmdk,node-name=a"], "Parameter 'driver' does not accept value 'vmdk'"],
    [
      ["--blockdev", "driver=file,node-name=a,filename=nosuch"],
      "Could not open 'nosuch': No such file or directory",
    ],
    [["--export", "nbd,id=e0,node-name=a"], "Cannot find device='' nor node-name='a'"],
    [["--blockdev", "raw,node-name"], "Expected '=' after parameter 'node-name'"],
    [["--monitor", "nosuch"], 'chardev "nosuch" not found'],
  ])("answers %s with one sentence", async (args, why) => {
    const { code, stderr } = await quiesce(["daemon", ...args]);
    expect(code).toBe(2);
    expect(stderr).toContain(why);
    expect(stderr.trim().split("\n")).toHaveLength(1);
  });
});
