// Image locking against QEMU's own programs, in both directions: who has an image keeps the others away from it.

import { spawn, spawnSync } from "node:child_process";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { haveTools, tool } from "../nbd-peers/live-server.ts";
import {
  daemonFolder,
  expectAllSound,
  expectSound,
  type RunningDaemon,
  removeFolder,
  startDaemon,
} from "./running-daemon.ts";

let folder: string;
beforeEach(async () => {
  folder = daemonFolder();
  if (haveTools("qemu-img")) await tool("qemu-img", "create", "-q", "-f", "qcow2", image(), "1M");
});
afterEach(() => removeFolder(folder));

const image = (): string => join(folder, "disk.qcow2");
const canLock = haveTools("qemu-io", "qemu-img", "perl");

/** A daemon that has the image. */
function daemonWith(fileOptions = "", imageOptions = ""): Promise<RunningDaemon> {
  return startDaemon(folder, [
    ...["--blockdev", `driver=file,node-name=f0,filename=disk.qcow2${fileOptions}`],
    ...["--blockdev", `driver=qcow2,node-name=disk0,file=f0${imageOptions}`],
  ]);
}

/** What qemu-io says when it opens the image and writes to it. */
function qemuIo(...words: string[]): string {
  const { stdout, stderr } = spawnSync("qemu-io", [...words, image()], {
    encoding: "utf8",
    timeout: 60_000,
  });
  return stdout + stderr;
}

describe.skipIf(!canLock)("an image that quiesce has open", () => {
  it("is not opened by QEMU for writing, nor for reading what may change", async () => {
    const daemon = await daemonWith();
    const refused = [
      'Failed to get "write" lock',
      `Is another process using the image [${image()}]?`,
    ].join("\n");
    expect(qemuIo("-c", "write 0 4k")).toContain(refused);
    expect(qemuIo("-r", "-c", "read 0 4k")).toContain('Failed to get shared "write" lock');
    // Who says that it does not mind is let in.
    expect(qemuIo("-U", "-r", "-c", "read 0 4k")).toContain("read 4096/4096 bytes");
    daemon.process.kill("SIGTERM");
    expect(await daemon.ended).toBe(0);
    expect(qemuIo("-c", "write 0 4k")).toContain("wrote 4096/4096 bytes");
    await expectSound(daemon.trace());
  });

  it("is read by others when it is read-only here, and is anybody's without locking", async () => {
    const reader = await daemonWith(",read-only=on", ",read-only=on");
    expect(qemuIo("-r", "-c", "read 0 4k")).toContain("read 4096/4096 bytes");
    expect(qemuIo("-c", "write 0 4k")).toContain('Failed to get "write" lock');
    reader.process.kill("SIGTERM");
    await reader.ended;
    const careless = await daemonWith(",locking=off");
    expect(qemuIo("-c", "write 0 4k")).toContain("wrote 4096/4096 bytes");
    careless.process.kill("SIGTERM");
    await careless.ended;
    await expectAllSound(folder);
  });
});

describe.skipIf(!canLock)("an image that QEMU has open", () => {
  it("is refused, in QEMU's words, and had when it is free again", async () => {
    const holder = spawn("qemu-io", [image()], { stdio: ["pipe", "pipe", "ignore"] });
    // It prompts when the image is open.
    await new Promise((resolve) => holder.stdout.once("data", resolve));
    const refused = await daemonWith();
    expect(await refused.ended).not.toBe(0);
    expect(refused.stderr()).toMatch(
      /--blockdev .*: Failed to get "write" lock\nIs another process using the image \[disk\.qcow2\]\?/,
    );
    holder.stdin.end("quit\n");
    await new Promise((resolve) => holder.once("exit", resolve));
    const daemon = await daemonWith();
    daemon.process.kill("SIGTERM");
    expect(await daemon.ended).toBe(0);
    // That of the refused one as well: its replay is refused in the same place.
    await expectAllSound(folder);
  });
});
