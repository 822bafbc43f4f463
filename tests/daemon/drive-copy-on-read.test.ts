// `copy-on-read=on` of a drive: what is read of a backing file is in the image then, by whole clusters, as with QEMU's -drive.

import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { NO_QEMU, qemu, qemuCheck } from "../qcow2/test-support.ts";
import {
  daemonFolder,
  expectSound,
  type QmpMessage,
  qmpClient,
  removeFolder,
  startDaemon,
} from "./running-daemon.ts";

let folder: string;
const at = (name: string) => join(folder, name);
beforeEach(() => {
  folder = daemonFolder();
  qemu("qemu-img", "create", "-q", "-f", "qcow2", at("base"), "1M");
  qemu("qemu-io", "-f", "qcow2", "-c", "write -P 3 0 512k", at("base"));
  const below = ["-b", "base", "-F", "qcow2"];
  for (const name of ["top", "theirs"])
    qemu("qemu-img", "create", "-q", "-f", "qcow2", ...below, at(name));
});
afterEach(() => removeFolder(folder));

/** Where the image itself has data, as `qemu-img map` says. */
function own(name: string): string[] {
  const map: { start: number; length: number; depth: number; present: boolean }[] = JSON.parse(
    qemu("qemu-img", "map", "--output=json", at(name)),
  );
  const mine = map.filter(({ depth, present }) => depth === 0 && present);
  return mine.map(({ start, length }) => `${start / 1024}+${length / 1024}`);
}

describe.skipIf(NO_QEMU !== "")(`a drive that copies on read${NO_QEMU}`, () => {
  it("has what was read, and may not become read-only", async () => {
    const drive = "id=d,file=top,format=qcow2,node-name=n,copy-on-read=on";
    const daemon = await startDaemon(folder, ["--drive", drive]);
    expect(daemon.stderr()).toBe("");
    const qmp = await qmpClient(at("qmp.sock"));
    for (const command of ["read -P 3 100k 1k", "read -P 0 700k 4k"]) {
      qemu("qemu-io", "-C", "-f", "qcow2", "-c", command, at("theirs"));
      const line = { "command-line": `qemu-io d "${command}"` };
      expect(await qmp.execute("human-monitor-command", line)).toBe("");
    }
    const nodes = (await qmp.execute("query-named-block-nodes")) as QmpMessage[];
    const [file, backing] = ["file", "qcow2"].map(
      (drv) => nodes.findLast((one) => one.drv === drv && one["node-name"] !== "n")?.["node-name"],
    );
    const options = { driver: "qcow2", "node-name": "n", "read-only": true, file, backing };
    expect(await qmp.refusal("blockdev-reopen", { options: [options] })).toBe(
      "GenericError: Can't set node 'd' to r/o with copy-on-read enabled",
    );
    await qmp.execute("quit");
    expect(await daemon.ended).toBe(0);
    expect(daemon.stdout()).not.toMatch(/failed/);
    expect(qemuCheck(at("top"))).toBe("");
    expect(own("top")).toEqual(["64+64", "640+64"]);
    expect(own("top")).toEqual(own("theirs"));
    await expectSound(daemon.trace());
  });

  it("does not when it is read-only, and says so", async () => {
    const drive = "id=d,file=top,format=qcow2,copy-on-read=on,readonly=on";
    const daemon = await startDaemon(folder, ["--drive", drive]);
    expect(daemon.stderr()).toContain("disabling copy-on-read on read-only drive");
    const qmp = await qmpClient(at("qmp.sock"));
    const line = { "command-line": 'qemu-io d "read -P 3 100k 1k"' };
    expect(await qmp.execute("human-monitor-command", line)).toBe("");
    await qmp.execute("quit");
    expect(await daemon.ended).toBe(0);
    expect(own("top")).toEqual([]);
    await expectSound(daemon.trace());
  });
});
