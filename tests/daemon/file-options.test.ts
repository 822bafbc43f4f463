// Options of files, and files that are none: our daemon takes and refuses them as Debian's qemu-storage-daemon does.

import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { haveTools } from "../nbd-peers/live-server.ts";
import { type BothDaemons, startBoth } from "./both-daemons.ts";

const PEER = haveTools("qemu-storage-daemon", "qemu-img");
const mounts: string[] = [];

function makeFiles(folder: string): void {
  const at = (name: string): string => join(folder, name);
  writeFileSync(at("x"), new Uint8Array(1 << 20));
  execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", at("busy"), "1M"]);
  writeFileSync(at("odd"), new Uint8Array(1000));
  mkdirSync(at("dir"));
  mkdirSync(at("ro"));
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=2m", "tmpfs", at("ro")], { stdio: "ignore" });
    mounts.push(at("ro"));
    writeFileSync(at("ro/x"), new Uint8Array(65_536));
    execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", at("ro/q"), "1M"]);
    execFileSync("mount", ["-o", "remount,ro", at("ro")]);
  } catch {
    // Only who may mount can have one.
  }
}

const ro = (name: string): object => ({ driver: "file", filename: `ro/${name}` });
const auto = { "auto-read-only": true };
const shared = { "force-share": true };

/** Each with a name of its own, and then all of them. */
const EVERYWHERE: readonly object[] = [
  { driver: "file", filename: "" },
  { driver: "file", filename: "dir" },
  { driver: "file", filename: "/dev/null" },
  { driver: "file", filename: "nosuch", ...auto },
  { driver: "file", filename: "x", ...auto },
  { driver: "file", filename: "x", ...shared },
  { driver: "file", filename: "x", "read-only": true, ...shared },
  { driver: "raw", file: { driver: "file", filename: "x" }, ...shared },
  { driver: "file", filename: "x", aio: "native" },
  { driver: "file", filename: "x", aio: "native", cache: { direct: true } },
  { driver: "file", filename: "x", "drop-cache": true },
  { driver: "file", filename: "x", "drop-cache": "on" },
  { driver: "file", filename: "x", "aio-max-batch": 4 },
  { driver: "file", filename: "x", "aio-max-batch": -1 },
  { driver: "file", filename: "x", "aio-max-batch": "4" },
  { driver: "file", filename: "x", "x-check-cache-dropped": false },
  { driver: "file", filename: "x", "pr-manager": "none" },
  { driver: "raw", file: { driver: "file", filename: "odd" } },
  { driver: "raw", file: { driver: "file", filename: "odd" }, offset: 100 },
  { driver: "null-co", "node-name": "1st" },
  { driver: "null-co", "node-name": "a/b" },
  { driver: "null-co", "node-name": "" },
  { driver: "null-co", "node-name": `a${".-_0".repeat(7)}xy` },
  { driver: "null-co", "node-name": `a${".-_0".repeat(7)}xyz` },
  { driver: "null-co", "node-name": "n4" },
  { driver: "null-co", ...auto },
  { driver: "null-co", "read-only": true, ...shared },
];

/** On a file system that is read-only. */
const READ_ONLY: readonly object[] = [
  ro("x"),
  { ...ro("x"), ...auto },
  { driver: "raw", file: ro("x") },
  { driver: "raw", file: ro("x"), ...auto },
  { driver: "raw", file: { ...ro("x"), ...auto } },
  { driver: "qcow2", file: { ...ro("q"), ...auto } },
  { driver: "qcow2", file: ro("q"), ...auto },
  { driver: "qcow2", file: ro("q"), ...auto, "read-only": true },
  { driver: "qcow2", file: ro("q"), ...shared, "read-only": true },
  { driver: "qcow2", file: { ...ro("q"), "read-only": true }, ...shared },
];

describe.skipIf(!PEER)("a file", () => {
  let both: BothDaemons;
  beforeAll(async () => {
    both = await startBoth([], makeFiles);
  });
  afterAll(() => {
    for (const mount of mounts) execFileSync("umount", ["-l", mount]);
    both?.close();
  });

  it.each(EVERYWHERE.map((node, index) => [JSON.stringify(node), node, index] as const))(
    "%s is opened, or refused in the same words",
    async (_text, node, index) => {
      await both.expectEqual("blockdev-add", { "node-name": `n${index}`, ...node });
    },
  );

  it.each(READ_ONLY.map((node, index) => [JSON.stringify(node), node, index] as const))(
    "on a read-only file system %s, too",
    async (_text, node, index) => {
      if (mounts.length < 2) return;
      await both.expectEqual("blockdev-add", { ...node, "node-name": `r${index}` });
    },
  );

  it("that can only be read is refused to who wants to write", async () => {
    if (mounts.length < 2) return;
    const server = { addr: { type: "unix", data: { path: "nbd.sock" } } };
    await both.expectEqual("nbd-server-start", server);
    for (const [id, writable] of [
      ["reads", false],
      ["writes", true],
    ] as const)
      await both.expectEqual("block-export-add", {
        ...{ type: "nbd", id, name: id, writable },
        "node-name": "r1",
      });
    const file = { ...ro("x"), "node-name": "r1" };
    for (const more of [{ "auto-read-only": false }, { "read-only": true }, auto])
      await both.expectEqual("blockdev-reopen", { options: [{ ...file, ...more }] });
  });

  it("that another program writes to can be read by who shares everything", async () => {
    const filename = join(both.ours.folder, "busy");
    const { qmp: other } = both.theirs;
    await other.execute("blockdev-add", { driver: "file", filename, "node-name": "held" });
    const server = { addr: { type: "unix", data: { path: "busy.sock" } } };
    await other.execute("nbd-server-stop", {}).catch(() => undefined);
    await other.execute("nbd-server-start", server);
    const write = { type: "nbd", id: "e", "node-name": "held", writable: true };
    await other.execute("block-export-add", write);
    const file = { driver: "file", filename: "busy" };
    const node = { driver: "qcow2", file, "read-only": true };
    const { qmp } = both.ours;
    const plain = qmp.execute("blockdev-add", { ...node, "node-name": "plain" });
    await expect(plain).rejects.toThrow('Failed to get shared "write" lock');
    const sharing = { ...node, ...shared, "node-name": "sharing" };
    expect(await qmp.execute("blockdev-add", sharing)).toEqual({});
  });

  it("leaves a recording that replays", () => both.expectSound());
});
