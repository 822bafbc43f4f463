// A qcow2 image with a backing file behind the daemon, for qemu-io: what it wrote is there, the image is clean, and the run replays
// without the images.

import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import zlib from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { quiesce } from "../cli/test-support.ts";
import { haveTools, tool } from "../nbd-peers/live-server.ts";
import { NO_QEMU, qemu, qemuCheck } from "../qcow2/test-support.ts";
import { daemonFolder, expectSound, removeFolder, startDaemon } from "./running-daemon.ts";

let folder: string;
const at = (name: string) => join(folder, name);
beforeEach(() => {
  folder = daemonFolder();
});
afterEach(() => removeFolder(folder));

describe.skipIf(NO_QEMU !== "")(`quiesce daemon with qcow2${NO_QEMU}`, () => {
  it.skipIf(!haveTools("qemu-io"))(
    "opens the chain that an image names, and keeps it whole",
    async () => {
      qemu("qemu-img", "create", "-q", "-f", "qcow2", at("base.qcow2"), "8M");
      qemu("qemu-io", "-f", "qcow2", "-c", "write -P 3 0 1M", at("base.qcow2"));
      const named = ["-b", "base.qcow2", "-F", "qcow2"];
      qemu("qemu-img", "create", "-q", "-f", "qcow2", ...named, at("top.qcow2"));
      const file = { driver: "file", filename: "top.qcow2" };
      const disk = { driver: "qcow2", "node-name": "disk0", file };
      const daemon = await startDaemon(folder, [
        ...["--object", "iothread,id=io0"],
        ...["--blockdev", JSON.stringify(disk)],
        ...["--nbd-server", "addr.type=unix,addr.path=nbd.sock"],
        ...["--export", "nbd,id=e0,node-name=disk0,iothread=io0,writable=on"],
      ]);
      expect(daemon.stderr()).toBe("");
      const uri = `nbd+unix:///disk0?socket=${at("nbd.sock")}`;
      const commands = ["write -P 7 100k 200k", "write -z 600k 64k", "read -P 3 0 100k", "flush"];
      const flags = commands.flatMap((command) => ["-c", command]);
      const io = await tool("qemu-io", "-f", "raw", uri, ...flags);
      expect(io.stdout).not.toContain("failed");
      daemon.process.kill("SIGTERM");
      expect(await daemon.ended).toBe(0);
      expect(qemuCheck(at("top.qcow2"))).toBe("");
      const reads = ["read -P 7 100k 200k", "read -P 0 600k 64k", "read -P 3 300k 300k"];
      const back = qemu(
        "qemu-io",
        "-f",
        "qcow2",
        ...reads.flatMap((one) => ["-c", one]),
        at("top.qcow2"),
      );
      expect(back).not.toContain("failed");
      for (const name of ["top.qcow2", "base.qcow2"]) rmSync(at(name));
      await expectSound(daemon.trace());
    },
  );

  it("reads an image that is compressed with zstd, or says what that needs", async () => {
    writeFileSync(at("data"), Buffer.alloc(1 << 20, "quiesce "));
    const how = ["-c", "-f", "raw", "-O", "qcow2", "-o", "compression_type=zstd"];
    qemu("qemu-img", "convert", ...how, at("data"), at("packed.qcow2"));
    const daemon = await startDaemon(folder, [
      ...[
        "--blockdev",
        "qcow2,node-name=d,read-only=on,file.driver=file,file.filename=packed.qcow2",
      ],
      ...["--nbd-server", "addr.type=unix,addr.path=nbd.sock", "--export", "nbd,id=e,node-name=d"],
    ]);
    if (!("zstdDecompress" in zlib)) {
      expect(await daemon.ended).toBe(2);
      expect(daemon.stderr()).toContain("compression type zstd is not there: it needs Node 22.15");
      return;
    }
    const uri = `nbd+unix:///d?socket=${at("nbd.sock")}`;
    const { stdout } = await tool("qemu-img", "compare", "-f", "raw", "-F", "raw", at("data"), uri);
    expect(stdout).toBe("Images are identical.\n");
    daemon.process.kill("SIGTERM");
    expect(await daemon.ended).toBe(0);
    await expectSound(daemon.trace());
  });

  it("refuses an image that it cannot understand with one sentence", async () => {
    qemu("qemu-img", "create", "-q", "-f", "qcow2", at("image.qcow2"), "1M");
    const bytes = readFileSync(at("image.qcow2"));
    bytes.writeUInt32BE(2, 32);
    writeFileSync(at("image.qcow2"), bytes);
    const blockdev = `driver=qcow2,node-name=a,file.driver=file,file.filename=${at("image.qcow2")}`;
    const { code, stderr } = await quiesce(["daemon", "--blockdev", blockdev]);
    expect(code).toBe(2);
    expect(stderr).toContain("LUKS encryption of qcow2 images is not supported");
  });
});
