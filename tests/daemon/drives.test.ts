// Devices: a drive with a name, its snapshots, one by one and as transactions, what is told of it, and who is told that it fills up.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
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

const folder = daemonFolder();
let daemon: RunningDaemon;
let qmp: QmpClient;

beforeAll(async () => {
  writeFileSync(join(folder, "disk.img"), new Uint8Array(1024 * 1024));
  daemon = await startDaemon(folder, [
    ...["--object", "iothread,id=io0"],
    ...[
      "--drive",
      "id=drive0,file=disk.img,format=raw,node-name=base,if=virtio,cache=writeback,discard=unmap,detect-zeroes=unmap",
    ],
    ...["--drive", '{"id": "drive1", "driver": "null-co", "size": 1048576, "node-name": "n0"}'],
    ...["--drive", "id=empty0"],
  ]);
  qmp = await qmpClient(join(folder, "qmp.sock"));
});
afterAll(() => removeFolder(folder));

/** What the device holds, and the node-names of the images below, the uppermost first. */
async function chainOf(device: string): Promise<readonly unknown[]> {
  const blocks = (await qmp.execute("query-block")) as readonly QmpMessage[];
  const inserted = blocks.find((one) => one.device === device)?.inserted as QmpMessage | undefined;
  const files: unknown[] = [];
  for (let image = inserted?.image as QmpMessage | undefined; image !== undefined; ) {
    files.push(image.filename);
    image = image["backing-image"] as QmpMessage | undefined;
  }
  return [inserted?.["node-name"], ...files];
}

const snapshotOf = (device: string, name: string) => ({
  device,
  "snapshot-file": join(folder, `${name}.qcow2`),
  "snapshot-node-name": name,
});

describe("a drive of the daemon", () => {
  it("is a device, with a medium or without", async () => {
    expect(await qmp.execute("query-block")).toMatchObject([
      {
        device: "drive0",
        ...{ type: "unknown", removable: true, locked: false },
        inserted: {
          ...{ "node-name": "base", drv: "raw", ro: false, file: "disk.img" },
          detect_zeroes: "unmap",
        },
      },
      { device: "drive1", inserted: { "node-name": "n0", drv: "null-co" } },
      { device: "empty0", type: "unknown" },
    ]);
    expect(await qmp.refusal("block_resize", { device: "empty0", size: 1 })).toBe(
      "GenericError: Device 'empty0' has no medium",
    );
    expect(await qmp.refusal("query-block", { device: "drive0" })).toBe(
      "GenericError: Parameter 'device' is unexpected",
    );
    expect(await qmp.refusal("blockdev-del", { "node-name": "base" })).toBe(
      "GenericError: Node base is in use",
    );
    await qmp.execute("block_resize", { device: "drive0", size: 2 * 1024 * 1024 });
    expect(await qmp.execute("query-block")).toMatchObject([
      { inserted: { image: { "virtual-size": 2 * 1024 * 1024 } } },
      {},
      {},
    ]);
  });

  it("is put on an overlay that is made for it, and the old image becomes read-only", async () => {
    await qmp.execute("blockdev-snapshot-sync", snapshotOf("drive0", "first"));
    const path = join(folder, "first.qcow2");
    expect(await chainOf("drive0")).toEqual(["first", path, "disk.img"]);
    const nodes = (await qmp.execute("query-named-block-nodes")) as readonly QmpMessage[];
    expect(nodes.find((one) => one["node-name"] === "base")).toMatchObject({ ro: true });
    await qmp.execute("change-backing-file", {
      device: "drive0",
      ...{ "image-node-name": "first", "backing-file": "./disk.img" },
    });
    expect(await chainOf("drive0")).toEqual(["first", expect.stringContaining(path), "disk.img"]);
  });

  it("takes part in transactions, which leave nothing behind when one action fails", async () => {
    const graph = await qmp.execute("x-debug-query-block-graph");
    const snapshots = [
      { type: "blockdev-snapshot-sync", data: snapshotOf("drive0", "second") },
      { type: "blockdev-snapshot-sync", data: snapshotOf("drive1", "third") },
    ];
    const failing = { actions: [...snapshots, { type: "abort", data: {} }] };
    expect(await qmp.refusal("transaction", failing)).toBe(
      "GenericError: Transaction aborted using Abort action",
    );
    expect(await qmp.execute("x-debug-query-block-graph")).toEqual(graph);
    const grouped = { actions: snapshots, properties: { "completion-mode": "grouped" } };
    expect(await qmp.refusal("transaction", grouped)).toBe(
      "GenericError: Action 'blockdev-snapshot-sync' does not support Transaction property completion-mode = grouped",
    );
    await qmp.execute("transaction", { actions: snapshots });
    expect(await chainOf("drive0")).toHaveLength(4);
    expect((await chainOf("drive1"))[0]).toBe("third");
  });

  it("tells once when it is written to behind a threshold", async () => {
    await qmp.execute("block-set-write-threshold", {
      "node-name": "second",
      "write-threshold": 65_536,
    });
    for (const offset of [0, 65_536, 131_072])
      await qmp.execute("human-monitor-command", {
        "command-line": `qemu-io drive0 "write ${offset} 4096"`,
      });
    expect(await qmp.event("BLOCK_WRITE_THRESHOLD")).toMatchObject({
      data: { "node-name": "second", "amount-exceeded": 4096, "write-threshold": 65_536 },
    });
    await qmp.execute("query-jobs");
    expect(qmp.events).toEqual([]);
  });

  it("is mirrored in an iothread by its name, and the copy takes its place", async () => {
    const move = { "node-name": "third", iothread: "io0" };
    expect(await qmp.refusal("x-blockdev-set-iothread", move)).toContain("(use force=true");
    await qmp.execute("blockdev-add", { driver: "null-co", "node-name": "copy", size: 1_048_576 });
    await qmp.execute("blockdev-mirror", { device: "drive1", target: "copy", sync: "full" });
    await qmp.event("BLOCK_JOB_READY", { device: "drive1" });
    await qmp.execute("block-job-complete", { device: "drive1" });
    await qmp.event("JOB_STATUS_CHANGE", { id: "drive1", status: "null" });
    expect((await chainOf("drive1"))[0]).toBe("copy");
  });

  it("is given back at the end, and the run replays", async () => {
    await qmp.execute("quit");
    expect(await daemon.ended).toBe(0);
    expect(daemon.stderr()).toBe("");
    await expectSound(daemon.trace());
  });
});
