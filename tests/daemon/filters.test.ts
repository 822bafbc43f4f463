// Filters behind the daemon, held against qemu-img: compressed clusters are there, what was read is copied, and a quorum tells
// clients who was outvoted.

import { statSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { NO_QEMU, qemu, qemuCheck } from "../qcow2/test-support.ts";
import {
  daemonFolder,
  expectSound,
  qmpClient,
  removeFolder,
  startDaemon,
} from "./running-daemon.ts";

let folder: string;
const at = (name: string) => join(folder, name);
beforeEach(() => {
  folder = daemonFolder();
});
afterEach(() => removeFolder(folder));

const image = (name: string) => ({
  driver: "qcow2",
  file: { driver: "file", filename: name },
});

/** Run commands of qemu-io on "disk"; then quit, and expect a sound recording. Events on the way. */
async function session(
  disk: unknown,
  commands: readonly string[],
): Promise<(readonly [unknown, unknown])[]> {
  const daemon = await startDaemon(folder, ["--blockdev", JSON.stringify(disk)]);
  expect(daemon.stderr()).toBe("");
  const qmp = await qmpClient(at("qmp.sock"));
  for (const command of commands) {
    const line = { "command-line": `qemu-io disk "${command}"` };
    expect(await qmp.execute("human-monitor-command", line)).toBe("");
  }
  await qmp.execute("quit");
  expect(await daemon.ended).toBe(0);
  expect(daemon.stdout()).not.toMatch(/failed/);
  await expectSound(daemon.trace());
  return qmp.events.map(({ event, data }) => [event, data] as const);
}

describe.skipIf(NO_QEMU !== "")(`filters of the daemon${NO_QEMU}`, () => {
  it("compress what is written, by whole clusters", async () => {
    qemu("qemu-img", "create", "-q", "-f", "qcow2", at("disk.qcow2"), "1M");
    const disk = { driver: "compress", "node-name": "disk", file: image("disk.qcow2") };
    await session(disk, ["write -q -P 5 0 128k", "write -q -P 6 200k 1k", "read -q -P 5 0 128k"]);
    expect(qemuCheck(at("disk.qcow2"))).toBe("");
    const check = JSON.parse(qemu("qemu-img", "check", "--output=json", at("disk.qcow2")));
    expect(check["compressed-clusters"]).toBe(3);
    const reads = ["-c", "read -P 5 0 128k", "-c", "read -P 6 200k 1k", "-c", "read -P 0 192k 8k"];
    expect(qemu("qemu-io", "-f", "qcow2", ...reads, at("disk.qcow2"))).not.toContain("failed");
  });

  it("allocate ahead below qcow2, and cut off what was not used", async () => {
    qemu("qemu-img", "create", "-q", "-f", "qcow2", at("disk.qcow2"), "8M");
    const sizes = { "prealloc-align": 1 << 20, "prealloc-size": 16 << 20 };
    const file = { driver: "preallocate", file: { driver: "file", filename: "disk.qcow2" } };
    const disk = { driver: "qcow2", "node-name": "disk", file: { ...file, ...sizes } };
    await session(disk, ["write -q -P 5 0 1M", "write -q -P 6 3M 64k", "read -q -P 5 0 1M"]);
    expect(statSync(at("disk.qcow2")).size).toBeLessThan(2 << 20);
    expect(qemuCheck(at("disk.qcow2"))).toBe("");
    const reads = ["-c", "read -P 5 0 1M", "-c", "read -P 6 3M 64k", "-c", "read -P 0 1M 2M"];
    expect(qemu("qemu-io", "-f", "qcow2", ...reads, at("disk.qcow2"))).not.toContain("failed");
  });

  it("copy what is read from a backing file", async () => {
    qemu("qemu-img", "create", "-q", "-f", "qcow2", at("base.qcow2"), "1M");
    qemu("qemu-io", "-f", "qcow2", "-c", "write -P 3 0 1M", at("base.qcow2"));
    const named = ["-b", "base.qcow2", "-F", "qcow2"];
    qemu("qemu-img", "create", "-q", "-f", "qcow2", ...named, at("top.qcow2"));
    const disk = { driver: "copy-on-read", "node-name": "disk", file: image("top.qcow2") };
    await session(disk, ["read -q -P 3 100k 1k"]);
    const map = JSON.parse(qemu("qemu-img", "map", "--output=json", at("top.qcow2")));
    const own = map.filter(({ depth }: { depth: number }) => depth === 0);
    expect(own).toMatchObject([{ start: 65_536, length: 65_536 }]);
    expect(qemuCheck(at("top.qcow2"))).toBe("");
  });

  it("of a quorum tell who was outvoted, and write over what was", async () => {
    for (const name of ["a", "b", "c"]) {
      qemu("qemu-img", "create", "-q", "-f", "qcow2", at(name), "1M");
      const byte = name === "b" ? "9" : "7";
      qemu("qemu-io", "-f", "qcow2", "-c", `write -q -P ${byte} 0 64k`, at(name));
    }
    const children = ["a", "b", "c"].map((name) => ({
      ...image(name),
      "node-name": `node-${name}`,
    }));
    const options = { "vote-threshold": 2, "rewrite-corrupted": true, children };
    const disk = { driver: "quorum", "node-name": "disk", ...options };
    const events = await session(disk, ["read -q -P 7 0 4k", "read -q -P 7 0 4k"]);
    const range = { "sector-num": 0, "sectors-count": 8 };
    expect(events.filter(([event]) => event !== "SHUTDOWN")).toEqual([
      ["QUORUM_REPORT_BAD", { type: "read", "node-name": "node-b", ...range }],
    ]);
    const reads = ["-c", "read -P 7 0 4k", "-c", "read -P 9 4k 60k"];
    expect(qemu("qemu-io", "-f", "qcow2", ...reads, at("b"))).not.toContain("failed");
  });
});
