// The same commands for our daemon and for Debian's qemu-storage-daemon: answers and errors are equal, word for word.
//
// Not compared, as there QEMU 7.2 is not to be followed: a node that is busy is "Device '(null)'" to block_resize; a negative write
// threshold is one of 64 bits; and a null-co node of negative size ends the daemon at an assertion.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { haveTools, tool } from "../nbd-peers/live-server.ts";
import { type BothDaemons, startBoth } from "./both-daemons.ts";

const PEER = haveTools("qemu-storage-daemon", "qemu-img");

let both: BothDaemons;

beforeAll(async () => {
  if (PEER) both = await startBoth(["--object", "iothread,id=io0"], images);
});
afterAll(() => both?.close());

async function images(folder: string): Promise<void> {
  writeFileSync(join(folder, "disk.img"), new Uint8Array(1024 * 1024));
  for (const [name, ...options] of [
    ["base.qcow2", "1M"],
    ["top.qcow2", "-b", "base.qcow2", "-F", "qcow2"],
    ["v2.qcow2", "-o", "compat=0.10,cluster_size=4k", "1M"],
  ] as const)
    await tool("qemu-img", "create", "-q", "-f", "qcow2", join(folder, name), ...options);
  await tool("qemu-img", "snapshot", "-c", "first", join(folder, "v2.qcow2"));
}

const file = (name: string, filename: string, more: object = {}) => ({
  driver: "file",
  "node-name": name,
  filename,
  ...more,
});
const qcow2 = (name: string, fileName: string, more: object = {}) => ({
  driver: "qcow2",
  "node-name": name,
  file: fileName,
  ...more,
});
const nothing = (name: string, more: object = {}) => ({
  driver: "null-co",
  "node-name": name,
  size: 1048576,
  ...more,
});
const nodes: readonly [string, object] = ["query-named-block-nodes", {}];
const graph: readonly [string, object] = ["x-debug-query-block-graph", {}];

/** What there must be, whatever else there is. */
const COMMANDS = [
  ...["blockdev-add", "blockdev-del", "blockdev-reopen", "blockdev-snapshot"],
  ...["x-blockdev-change", "x-blockdev-set-iothread", "change-backing-file", "block_resize"],
  ...["query-block", "query-named-block-nodes", "query-block-jobs", "query-jobs"],
  ...["query-block-exports", "x-debug-query-block-graph", "query-commands", "query-version"],
  ...["nbd-server-start", "nbd-server-stop", "block-export-add", "block-export-del", "transaction"],
  ...["add", "remove", "clear", "enable", "disable", "merge"].map(
    (verb) => `block-dirty-bitmap-${verb}`,
  ),
  ...["block-set-write-threshold", "object-add", "object-del", "qom-list", "qom-get", "qom-set"],
  ...["pause", "resume", "cancel", "complete", "finalize", "dismiss"].flatMap((verb) => [
    ...[`job-${verb}`, `block-job-${verb}`],
  ]),
  ...["block-job-set-speed", "qmp_capabilities", "quit", "human-monitor-command"],
];

/** Commands with their arguments, in the order in which they are run. */
const overlay = (more: object): [string, object] => [
  "blockdev-snapshot-sync",
  { "node-name": "n0", "snapshot-file": "s.qcow2", "snapshot-node-name": "s0", ...more },
];

const STEPS: readonly (readonly [string, object])[] = [
  ["no-such-command", {}],
  ["query-block", {}],
  ["query-jobs", {}],
  ["query-block-jobs", {}],
  ["query-block-exports", {}],
  ["query-version", { extra: 1 }],
  // blockdev-add
  ["blockdev-add", {}],
  ["blockdev-add", { driver: "null-co" }],
  ["blockdev-add", { driver: "nothing", "node-name": "n" }],
  ["blockdev-add", { driver: "null-co", "node-name": 5 }],
  ["blockdev-add", nothing("n", { size: "big" })],
  ["blockdev-add", nothing("n", { size: 1.5 })],
  ["blockdev-add", nothing("n", { latency: 1 })],
  ["blockdev-add", { driver: "file", "node-name": "n" }],
  ["blockdev-add", file("f0", "disk.img")],
  ["blockdev-add", file("f0", "disk.img")],
  ["blockdev-add", { driver: "raw", "node-name": "disk0", file: "none" }],
  ["blockdev-add", { driver: "raw", "node-name": "disk0", file: 5 }],
  ["blockdev-add", { driver: "raw", "node-name": "disk0", file: "f0" }],
  ["blockdev-add", file("v2f", "v2.qcow2")],
  ["blockdev-add", qcow2("v2", "v2f")],
  ["blockdev-add", file("bf", "base.qcow2")],
  ["blockdev-add", qcow2("base", "bf", { "read-only": true })],
  ["blockdev-add", file("tf", "top.qcow2")],
  ["blockdev-add", qcow2("top", "tf", { backing: "base" })],
  ["blockdev-add", nothing("n0")],
  ["blockdev-add", nothing("n1", { "read-zeroes": true })],
  nodes,
  ["query-named-block-nodes", { flat: true }],
  ["query-named-block-nodes", { flat: "yes" }],
  graph,
  // blockdev-del
  ["blockdev-del", {}],
  ["blockdev-del", { "node-name": "none" }],
  ["blockdev-del", { "node-name": "" }],
  ["blockdev-del", { "node-name": "f0" }],
  ["blockdev-del", { "node-name": "base" }],
  ["blockdev-del", { "node-name": "n1", force: true }],
  ["blockdev-del", { "node-name": "n1" }],
  // block_resize
  ["block_resize", { "node-name": "none", size: 1024 }],
  ["block_resize", { size: 1024 }],
  ["block_resize", { "node-name": "disk0", size: -1 }],
  ["block_resize", { "node-name": "disk0" }],
  ["block_resize", { "node-name": "disk0", size: 2097152 }],
  // block-set-write-threshold
  ["block-set-write-threshold", { "node-name": "none", "write-threshold": 1 }],
  ["block-set-write-threshold", { "node-name": "disk0", "write-threshold": 4096 }],
  nodes,
  // x-blockdev-change
  ["x-blockdev-change", { parent: "none" }],
  ["x-blockdev-change", { parent: "disk0" }],
  ["x-blockdev-change", { parent: "disk0", child: "a", node: "n0" }],
  ["x-blockdev-change", { parent: "disk0", child: "a" }],
  ["x-blockdev-change", { parent: "disk0", node: "none" }],
  ["x-blockdev-change", { parent: "disk0", node: "n0" }],
  ["x-blockdev-change", { parent: "disk0", child: "file" }],
  // x-blockdev-set-iothread
  ["x-blockdev-set-iothread", { "node-name": "none", iothread: "io0" }],
  ["x-blockdev-set-iothread", { "node-name": "disk0", iothread: "io9" }],
  ["x-blockdev-set-iothread", { "node-name": "disk0", iothread: 5 }],
  ["x-blockdev-set-iothread", { "node-name": "disk0", iothread: "io0" }],
  ["x-blockdev-set-iothread", { "node-name": "disk0", iothread: null }],
  // change-backing-file
  ["change-backing-file", { device: "none", "image-node-name": "top", "backing-file": "b" }],
  ["change-backing-file", { device: "top", "image-node-name": "none", "backing-file": "b" }],
  ["change-backing-file", { device: "top", "image-node-name": "base", "backing-file": "b" }],
  ["change-backing-file", { device: "base", "image-node-name": "top", "backing-file": "b" }],
  ["change-backing-file", { device: "disk0", "image-node-name": "top", "backing-file": "b" }],
  [
    "change-backing-file",
    { device: "top", "image-node-name": "top", "backing-file": "./base.qcow2" },
  ],
  nodes,
  // blockdev-reopen
  ["blockdev-reopen", { options: [{ driver: "null-co" }] }],
  ["blockdev-reopen", { options: [nothing("none")] }],
  ["blockdev-reopen", { options: [{ driver: "raw", "node-name": "disk0", file: "n0" }] }],
  ["blockdev-reopen", { options: [qcow2("top", "tf")] }],
  ["blockdev-reopen", { options: [qcow2("top", "tf", { backing: "base", "read-only": true })] }],
  ["blockdev-reopen", { options: [file("f0", "other.img")] }],
  ["blockdev-reopen", { options: [{ driver: "raw", "node-name": "top", file: "tf" }] }],
  nodes,
  graph,
  ["blockdev-reopen", { options: [qcow2("top", "tf", { backing: "base" })] }],
  ["blockdev-reopen", { options: {} }],
  // snapshots and transactions
  ["blockdev-snapshot", { node: "none", overlay: "top" }],
  ["blockdev-snapshot", { node: "disk0", overlay: "none" }],
  ["blockdev-snapshot", { node: "disk0", overlay: "top" }],
  ["blockdev-snapshot", { node: "disk0", overlay: "n0" }],
  ["object-add", { "qom-type": "secret", id: "s", data: "x", keyid: "none" }],
  ["object-add", { "qom-type": "secret", id: "s", data: "x", keyid: "io0" }],
  ["blockdev-snapshot-sync", { "node-name": "n0", "snapshot-file": "s.qcow2" }],
  ...[
    { format: "raw" },
    { format: "nosuch" },
    { format: "nosuch", mode: "existing" },
    { "snapshot-file": "none/s.qcow2" },
    { "snapshot-file": "none/s.qcow2", mode: "existing" },
  ].map((more) => overlay(more)),
  ["blockdev-snapshot-sync", { device: "none", "snapshot-file": "s.qcow2" }],
  [
    "blockdev-snapshot-sync",
    { "node-name": "n0", "snapshot-file": "s.qcow2", "snapshot-node-name": "top" },
  ],
  [
    "blockdev-snapshot-sync",
    { "node-name": "top", "snapshot-file": "s.qcow2", "snapshot-node-name": "snap" },
  ],
  nodes,
  graph,
  ["transaction", {}],
  ["transaction", { actions: [{ type: "nothing", data: {} }] }],
  ["transaction", { actions: [{ type: "abort" }] }],
  ["transaction", { actions: [{ type: "abort", data: {} }] }],
  ["transaction", { actions: [], properties: { "completion-mode": "all" } }],
  [
    "transaction",
    {
      actions: [{ type: "blockdev-snapshot", data: { node: "snap", overlay: "v2" } }],
      properties: { "completion-mode": "grouped" },
    },
  ],
  [
    "transaction",
    {
      actions: [
        { type: "blockdev-snapshot", data: { node: "snap", overlay: "v2" } },
        { type: "abort", data: {} },
      ],
    },
  ],
  graph,
  [
    "transaction",
    { actions: [{ type: "blockdev-snapshot", data: { node: "snap", overlay: "v2" } }] },
  ],
  graph,
  nodes,
  ["blockdev-del", { "node-name": "top" }],
  // objects
  ["object-add", { "qom-type": "nothing", id: "a" }],
  ["object-add", { "qom-type": "iothread" }],
  ["object-add", { "qom-type": "iothread", id: "0a" }],
  ["object-add", { "qom-type": "iothread", id: "io0" }],
  ["object-add", { "qom-type": "throttle-group", id: "tg0", limits: { "iops-total": 100 } }],
  ["object-add", { "qom-type": "throttle-group", id: "tg0" }],
  ["object-add", { "qom-type": "throttle-group", id: "tg1", limits: { "bps-total": -1 } }],
  ["blockdev-add", { driver: "throttle", "node-name": "t0", file: "n0", "throttle-group": "no" }],
  ["blockdev-add", { driver: "throttle", "node-name": "t0", file: "n0", "throttle-group": "tg0" }],
  ["object-del", { id: "tg0" }],
  nodes,
  ["blockdev-del", { "node-name": "t0" }],
  ["object-del", { id: "none" }],
  ["object-del", { id: "tg0" }],
  // exports
  ["nbd-server-stop", {}],
  ["block-export-add", { type: "nbd", id: "e0", "node-name": "disk0" }],
  ["nbd-server-start", { addr: { type: "unix", data: {} } }],
  ["nbd-server-start", { addr: { type: "pigeon", data: {} } }],
  ["nbd-server-start", { addr: { type: "unix", data: { path: "nbd.sock" } } }],
  ["nbd-server-start", { addr: { type: "unix", data: { path: "nbd.sock" } } }],
  ["block-export-add", { type: "nothing", id: "e0", "node-name": "disk0" }],
  ["block-export-add", { type: "nbd", id: "0e", "node-name": "disk0" }],
  ["block-export-add", { type: "nbd", id: "e0", "node-name": "none" }],
  ["block-export-add", { type: "nbd", id: "e0", "node-name": "base", writable: true }],
  ["block-export-add", { type: "nbd", id: "e0", "node-name": "disk0", iothread: "io9" }],
  ["block-export-add", { type: "nbd", id: "e0", "node-name": "disk0", writable: true }],
  ["block-export-add", { type: "nbd", id: "e0", "node-name": "disk0" }],
  ["block-export-add", { type: "nbd", id: "e1", "node-name": "disk0" }],
  ["query-block-exports", {}],
  ["blockdev-del", { "node-name": "disk0" }],
  ["x-blockdev-set-iothread", { "node-name": "disk0", iothread: "io0" }],
  graph,
  ["block_resize", { "node-name": "disk0", size: 1048576 }],
  ["block-export-del", { id: "none" }],
  ["block-export-del", { id: "e0", mode: "soft" }],
  ["block-export-del", { id: "e0" }],
  ["nbd-server-stop", {}],
  graph,
];

describe.skipIf(!PEER)("answers of QMP are those of qemu-storage-daemon", () => {
  it.each(STEPS.map(([command, args]) => [command, args] as const))("%s %j", (command, args) =>
    both.expectEqual(command, args),
  );

  it("and every command is one of qemu-storage-daemon's, or QEMU's for people", async () => {
    const [ours, theirs] = await Promise.all(
      [both.ours, both.theirs].map(async ({ qmp }) => {
        const commands = (await qmp.execute("query-commands")) as { readonly name: string }[];
        return commands.map(({ name }) => name);
      }),
    );
    expect(ours?.filter((name) => !theirs?.includes(name))).toEqual(["human-monitor-command"]);
    expect(ours).toEqual(expect.arrayContaining(COMMANDS));
  });

  it("and the run replays, without a finding", async () => {
    await both.theirs.qmp.execute("quit");
    await both.expectSound();
  });
});
