// Dirty bitmaps over QMP and NBD: the same commands to our daemon and to QEMU's, each with an image of its own, must be answered
// alike, word for word; and clients of both read the same bitmaps.

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { haveTools, tool } from "../nbd-peers/live-server.ts";
import { bitmapInfo, NO_QEMU, qemu, qemuCheck, qemuDirtyMap } from "../qcow2/test-support.ts";
import {
  daemonFolder,
  expectSound,
  type QmpClient,
  type QmpMessage,
  qmpClient,
  type RunningDaemon,
  removeFolder,
  startDaemon,
} from "./running-daemon.ts";

const HAS_PEER = NO_QEMU === "" && existsSync("/usr/bin/qemu-storage-daemon");
const NODE = { node: "disk0" };

/** What is the same for both daemons: an image, exported with a bitmap that it has. */
function optionsFor(image: string, socket: string): string[] {
  const file = { driver: "file", filename: image };
  const disk = { driver: "qcow2", "node-name": "disk0", file };
  return [
    ...["--object", "iothread,id=io0"],
    ...["--blockdev", JSON.stringify(disk)],
    ...["--blockdev", "null-co,node-name=other,size=1048576"],
    ...["--nbd-server", `addr.type=unix,addr.path=${socket}`],
    ...["--export", "nbd,id=e0,node-name=disk0,writable=on,bitmaps.0=stored"],
  ];
}

describe.skipIf(!HAS_PEER)("bitmaps of our daemon and of qemu-storage-daemon", () => {
  const folder = daemonFolder();
  const at = (name: string) => join(folder, name);
  let ours: RunningDaemon;
  let theirs: ChildProcess;
  let clients: QmpClient[];

  beforeAll(async () => {
    for (const image of ["ours.qcow2", "theirs.qcow2"]) {
      qemu("qemu-img", "create", "-q", "-f", "qcow2", at(image), "8M");
      qemu("qemu-img", "bitmap", "--add", "-g", "64k", at(image), "stored");
    }
    ours = await startDaemon(folder, optionsFor("ours.qcow2", "ours.nbd"));
    const monitor = ["--chardev", "socket,id=qmp,path=theirs.qmp,server=on,wait=off"];
    const args = [...optionsFor("theirs.qcow2", "theirs.nbd"), ...monitor, "--monitor", "qmp"];
    theirs = spawn("qemu-storage-daemon", args, { cwd: folder, stdio: "ignore" });
    while (!existsSync(at("theirs.qmp"))) {
      expect(theirs.exitCode, "qemu-storage-daemon takes these options").toBe(null);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    clients = [await qmpClient(at("qmp.sock")), await qmpClient(at("theirs.qmp"))];
  });
  afterAll(() => {
    theirs.kill();
    removeFolder(folder);
  });

  /** Run a command on both, on ours with `more`; what both answered, which must be one and the same. */
  async function both(execute: string, args: QmpMessage, more: QmpMessage = {}): Promise<unknown> {
    const answers: QmpMessage[] = [];
    for (const [index, client] of clients.entries()) {
      let answer = await client.run(execute, index === 0 ? { ...args, ...more } : args);
      while ("event" in answer) answer = await client.next();
      answers.push(answer);
    }
    expect(answers[0], execute).toEqual(answers[1]);
    return answers[0]?.return ?? answers[0]?.error;
  }

  /** What both say of the bitmaps of the image. */
  async function bitmaps(): Promise<unknown[]> {
    const said: unknown[] = [];
    for (const client of clients) {
      const nodes = (await client.execute("query-named-block-nodes", {})) as QmpMessage[];
      said.push(nodes.find((node) => node["node-name"] === "disk0")?.["dirty-bitmaps"] ?? []);
    }
    expect(said[0]).toEqual(said[1]);
    return said[0] as unknown[];
  }

  async function write(...commands: string[]): Promise<void> {
    const flags = commands.flatMap((one) => ["-c", one]);
    for (const name of ["ours", "theirs"]) {
      const uri = `nbd+unix:///disk0?socket=${at(`${name}.nbd`)}`;
      const { stdout } = await tool("qemu-io", "-f", "raw", uri, ...flags);
      expect(stdout).not.toContain("failed");
    }
  }

  it("are added, and refused, with the same words", async () => {
    const add = (rest: QmpMessage) => both("block-dirty-bitmap-add", { ...NODE, ...rest });
    expect(await add({ name: "b0", persistent: true, granularity: 65_536 })).toEqual({});
    expect(await add({ name: "b1" })).toEqual({});
    expect(await add({ name: "b2", granularity: 512, disabled: true })).toEqual({});
    await add({ name: "b0" });
    await add({ name: "" });
    await add({ name: "x", granularity: 256 });
    await add({ name: "x", granularity: 3000 });
    await add({ name: "x".repeat(1024) });
    await add({ name: "x".repeat(1024), persistent: true });
    await add({ name: "b0", persistent: true });
    await both("block-dirty-bitmap-add", { node: "nowhere", name: "x" });
    await both("block-dirty-bitmap-add", { node: "other", name: "x", persistent: true });
    for (const command of ["remove", "clear", "enable", "disable"]) {
      await both(`block-dirty-bitmap-${command}`, { ...NODE, name: "nothing" });
      await both(`block-dirty-bitmap-${command}`, { node: "nowhere", name: "b0" });
    }
    await both("block-dirty-bitmap-merge", { ...NODE, target: "nothing", bitmaps: ["b0"] });
    await both("block-dirty-bitmap-merge", { ...NODE, target: "b0", bitmaps: ["b1", "nothing"] });
    await both("block-dirty-bitmap-add", { node: "other", name: "short" });
    const short = { node: "other", name: "short" };
    await both("block-dirty-bitmap-merge", { ...NODE, target: "b0", bitmaps: [short] });
    expect((await bitmaps()).length).toBe(4);
  });

  it("record what clients write, until they are disabled", async () => {
    await write("write 100k 1k", "write -z 1M 64k");
    await both("block-dirty-bitmap-disable", { ...NODE, name: "b0" });
    await both("block-dirty-bitmap-enable", { ...NODE, name: "b2" });
    await write("write 5M 512", "flush");
    await bitmaps();
    for (const name of ["stored", "b0", "b1", "b2"])
      await both("x-debug-block-dirty-bitmap-sha256", { ...NODE, name });
    await both("x-debug-block-dirty-bitmap-sha256", { ...NODE, name: "nothing" });
  });

  it("are merged, also from finer ones, and cleared", async () => {
    const target = { ...NODE, target: "b0" };
    expect(await both("block-dirty-bitmap-merge", { ...target, bitmaps: ["b2"] })).toEqual({});
    await both("x-debug-block-dirty-bitmap-sha256", { ...NODE, name: "b0" });
    await both("block-dirty-bitmap-merge", {
      ...NODE,
      target: "b2",
      bitmaps: [{ ...NODE, name: "b1" }],
    });
    await both("x-debug-block-dirty-bitmap-sha256", { ...NODE, name: "b2" });
    await both("block-dirty-bitmap-clear", { ...NODE, name: "b1" });
    await bitmaps();
  });

  it.skipIf(!haveTools("nbdinfo"))(
    "are read by NBD clients, and nobody else's meanwhile",
    async () => {
      await both("block-export-del", { id: "e0", mode: "hard" });
      // QEMU's aborts when the client of an export in an iothread goes.
      const inThread = { iothread: "io0" };
      const one = { type: "nbd", id: "e1", "node-name": "disk0" };
      await both("block-export-add", { ...one, bitmaps: ["nothing"] });
      await both("block-export-add", { ...one, bitmaps: ["b1"] });
      const exported = { ...one, writable: true, bitmaps: ["b0", { ...NODE, name: "b2" }] };
      expect(await both("block-export-add", exported, inThread)).toEqual({});
      const seen: unknown[] = [];
      for (const name of ["ours", "theirs"]) {
        const uri = `nbd+unix:///disk0?socket=${at(`${name}.nbd`)}`;
        const maps = ["b0", "b2"].map((bitmap) =>
          tool("nbdinfo", `--map=qemu:dirty-bitmap:${bitmap}`, "--json", uri),
        );
        const info = await tool("nbdinfo", "--json", uri);
        const { exports } = JSON.parse(info.stdout);
        const found = (await Promise.all(maps)).map(({ stdout }) => JSON.parse(stdout));
        const contexts: string[] = exports[0].contexts;
        const opts = `driver=nbd,server.type=unix,server.path=${at(`${name}.nbd`)},export=disk0`;
        seen.push({
          contexts: contexts.filter((context) => context.includes("bitmap")),
          found,
          map: qemuDirtyMap(opts, "b0"),
        });
      }
      expect(seen[0]).toEqual(seen[1]);
      expect(seen[0]).toMatchObject({ contexts: ["qemu:dirty-bitmap:b0", "qemu:dirty-bitmap:b2"] });
      for (const command of ["remove", "clear", "enable"])
        await both(`block-dirty-bitmap-${command}`, { ...NODE, name: "b0" });
      await both("block-dirty-bitmap-merge", { ...NODE, target: "b1", bitmaps: ["b0"] });
      await bitmaps();
      await both("block-export-del", { id: "e1" });
      await both("block-dirty-bitmap-remove", { ...NODE, name: "b2" });
      await both("block-dirty-bitmap-remove", { ...NODE, name: "stored" });
      await bitmaps();
    },
  );

  it("are in the images when the daemons have gone, and the run replays", async () => {
    ours.process.kill("SIGTERM");
    expect(await ours.ended).toBe(0);
    const gone = new Promise((resolve) => theirs.once("exit", resolve));
    theirs.kill();
    await gone;
    expect(bitmapInfo(at("ours.qcow2"))).toEqual(["b0 65536 "]);
    expect(bitmapInfo(at("theirs.qcow2"))).toEqual(["b0 65536 "]);
    expect(qemuCheck(at("ours.qcow2"))).toBe("");
    await expectSound(ours.trace());
  });
});
