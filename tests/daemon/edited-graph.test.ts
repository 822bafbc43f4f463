// What our daemon and Debian's qemu-storage-daemon say of a graph that was edited while it was exported: an export, the nodes, the
// edges.
//
// Each edit is followed by all questions. `query-block` is empty in both, as neither has a device here.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, it } from "vitest";
import { haveTools, tool } from "../nbd-peers/live-server.ts";
import { type BothDaemons, startBoth } from "./both-daemons.ts";

const PEER = haveTools("qemu-storage-daemon", "qemu-img");

let both: BothDaemons;

beforeAll(async () => {
  if (PEER) both = await startBoth(ARGS, images);
});
afterAll(() => both?.close());

const ARGS = [
  ...["--object", "iothread,id=io0", "--nbd-server", "addr.type=unix,addr.path=nbd.sock"],
  ...["--blockdev", "file,node-name=f0,filename=disk.img"],
  ...["--blockdev", "raw,node-name=disk0,file=f0"],
  ...["--export", "nbd,id=e0,node-name=disk0,writable=on"],
  ...["--blockdev", "qcow2,node-name=q0,file.driver=file,file.filename=q0.qcow2"],
  ...["--export", "nbd,id=e1,node-name=q0,name=other,iothread=io0"],
];

async function images(folder: string): Promise<void> {
  writeFileSync(join(folder, "disk.img"), new Uint8Array(1024 * 1024));
  for (const name of ["over1", "over2", "over3", "q0", "raw-base"])
    await tool("qemu-img", "create", "-q", "-f", "qcow2", join(folder, `${name}.qcow2`), "1M");
}

const overlay = (name: string, more: object = {}) => ({
  ...{ driver: "qcow2", "node-name": name, backing: null },
  file: { driver: "file", "node-name": `${name}-file`, filename: `${name}.qcow2` },
  ...more,
});
const quorum = (more: object = {}) => ({
  ...{ driver: "quorum", "node-name": "q", "vote-threshold": 1, children: ["n0", "n1"] },
  ...more,
});
const nothing = (name: string) => ({ driver: "null-co", "node-name": name, size: 1 << 20 });
const action = (node: string, over: string) => ({
  ...{ type: "blockdev-snapshot", data: { node, overlay: over } },
});
/** The node `over1` with another backing file, or as it is. */
const reopened = (backing: string | null, more: object = {}) => ({
  ...{ driver: "qcow2", "node-name": "over1", file: "over1-file", backing },
  ...more,
});

/** Edits with their arguments, in the order in which they are made. */
const EDITS: readonly (readonly [string, object])[] = [
  ["blockdev-add", overlay("over1")],
  ["blockdev-snapshot", { node: "disk0", overlay: "over1" }],
  // An overlay that is there cannot be put there twice, and a name that is no top is still a node.
  ["blockdev-snapshot", { node: "disk0", overlay: "over1" }],
  ["block-export-add", { type: "nbd", id: "e2", "node-name": "disk0", name: "below" }],
  ["blockdev-add", overlay("over2")],
  ["transaction", { actions: [action("over1", "over2"), { type: "abort", data: {} }] }],
  ["transaction", { actions: [action("over1", "over2")] }],
  [
    "blockdev-snapshot-sync",
    { "node-name": "over2", "snapshot-file": "made.qcow2", "snapshot-node-name": "made" },
  ],
  [
    "blockdev-snapshot-sync",
    {
      ...{ "node-name": "made", "snapshot-file": "over3.qcow2", mode: "existing" },
      "snapshot-node-name": "over3",
    },
  ],
  // change-backing-file
  [
    "change-backing-file",
    { device: "made", "image-node-name": "made", "backing-file": "over2.qcow2" },
  ],
  [
    "change-backing-file",
    { device: "over3", "image-node-name": "made", "backing-file": "x.qcow2" },
  ],
  ["change-backing-file", { device: "over3", "image-node-name": "made", "backing-file": "" }],
  [
    "change-backing-file",
    { device: "over3", "image-node-name": "over2", "backing-file": "over1.qcow2" },
  ],
  ["change-backing-file", { device: "over3", "image-node-name": "disk0", "backing-file": "a" }],
  // blockdev-reopen
  ["blockdev-add", nothing("n0")],
  ["blockdev-add", nothing("n1")],
  ["blockdev-add", nothing("n2")],
  ["blockdev-reopen", { options: [reopened("n0")] }],
  ["blockdev-reopen", { options: [reopened("n0", { "read-only": true })] }],
  ["blockdev-reopen", { options: [reopened("n1", { "read-only": true })] }],
  ["blockdev-reopen", { options: [reopened(null, { "read-only": true })] }],
  ["blockdev-reopen", { options: [reopened("over3", { "read-only": true })] }],
  ["blockdev-reopen", { options: [reopened("disk0", { "read-only": true })] }],
  [
    "blockdev-reopen",
    { options: [{ driver: "raw", "node-name": "disk0", file: "n0", "read-only": true }] },
  ],
  [
    "blockdev-reopen",
    {
      options: [
        { driver: "raw", "node-name": "disk0", file: "n0", "read-only": true, size: 1 << 19 },
        reopened("disk0", { "read-only": true }),
      ],
    },
  ],
  // x-blockdev-change
  ["blockdev-add", quorum()],
  ["block-export-add", { type: "nbd", id: "e3", "node-name": "q", name: "quorum" }],
  ["x-blockdev-change", { parent: "q", node: "n2" }],
  ["x-blockdev-change", { parent: "q", child: "children.0" }],
  ["x-blockdev-change", { parent: "q", child: "children.1" }],
  ["x-blockdev-change", { parent: "q", child: "children.2" }],
  ["x-blockdev-change", { parent: "q", node: "over3" }],
  ["blockdev-add", overlay("raw-base")],
  ["blockdev-snapshot", { node: "q", overlay: "raw-base" }],
  ["x-blockdev-change", { parent: "q", node: "n1" }],
  // The end of exports.
  ["block-export-del", { id: "e3" }],
  ["block-export-del", { id: "e0" }],
  ["blockdev-del", { "node-name": "over3" }],
  ["blockdev-del", { "node-name": "made" }],
  ["nbd-server-stop", {}],
];

const QUESTIONS = [
  "query-block-exports",
  "query-block",
  "query-named-block-nodes",
  "x-debug-query-block-graph",
];

describe.skipIf(!PEER)(
  "a graph that was edited under exports is told as qemu-storage-daemon does",
  () => {
    it.each(EDITS.map(([command, args]) => [command, args] as const))(
      "after %s %j",
      async (command, args) => {
        await both.expectEqual(command, args);
        for (const question of QUESTIONS) await both.expectEqual(question, {});
      },
    );

    it("and the run replays, without a finding", async () => {
      await both.theirs.qmp.execute("quit");
      await both.expectSound();
    });
  },
);
