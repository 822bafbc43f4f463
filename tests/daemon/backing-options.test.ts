// Backing files in the options of an image, as qemu-storage-daemon takes or refuses them.

import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { haveTools } from "../nbd-peers/live-server.ts";
import { type BothDaemons, type Peer, startBoth } from "./both-daemons.ts";

const PEER = haveTools("qemu-storage-daemon", "qemu-img");

const file = (filename: string, more: object = {}) => ({ driver: "file", filename, ...more });
const base = (more: object = {}) => ({
  ...{ driver: "qcow2", "node-name": "base", ...more },
  file: file("base.qcow2", { "node-name": "basefile" }),
});
const top = (more: object) =>
  [
    "blockdev-add",
    { driver: "qcow2", "node-name": "top", file: file("top.qcow2"), ...more },
  ] as const;
const nodes = ["query-named-block-nodes", { flat: true }] as const;
const gone = ["blockdev-del", { "node-name": "top" }] as const;
const window = (more: object) =>
  [
    "blockdev-add",
    { driver: "raw", "node-name": "w", file: file("disk.raw", { "node-name": "wf" }), ...more },
  ] as const;

const STEPS: readonly (readonly [string, object])[] = [
  // Read-only, unless it is said otherwise; so nobody writes to what others may share.
  ...[top({ backing: base() }), nodes],
  ...[["block-dirty-bitmap-add", { node: "base", name: "b", persistent: true }] as const, gone],
  ...[top({ backing: base({ "read-only": false }) }), nodes, gone],
  ...[top({ "read-only": true, backing: base() }), nodes, gone],
  ...[top({ backing: base({ "auto-read-only": true }) }), nodes, gone],
  // None, and what is refused.
  ...[top({ backing: "" }), nodes, gone, top({ backing: null }), gone],
  ...[
    top({ backing: "nobody" }),
    top({ backing: { driver: "raw", file: file("none") } }),
    top({ backing: 5 }),
  ],
  ...[top({ backing: { driver: "qcow2", file: file("disk.raw") } }), nodes],
  // A window that cannot be leaves no file behind.
  ...[window({ offset: -1 }), window({ size: -5 }), nodes, window({ offset: 512 }), nodes],
];

/** All nodes, whichever was made first: what each is, and whether it is read-only. */
async function nodesOf({ qmp }: Peer): Promise<string[]> {
  const list = (await qmp.execute(nodes[0], nodes[1])) as Record<string, unknown>[];
  const text = (name: unknown) => String(name).replace(/^#block.*/, "#block");
  return list.map((one) => `${text(one["node-name"])} ${one.drv} ${one.ro}`).sort();
}

describe.skipIf(!PEER)("a backing file that the options name", () => {
  let both: BothDaemons;
  beforeAll(async () => {
    both = await startBoth([], (folder) => {
      const create = (...args: string[]) =>
        execFileSync("qemu-img", ["create", "-q", ...args], { cwd: folder });
      create("-f", "qcow2", "base.qcow2", "1M");
      create("-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", "top.qcow2");
      create("-f", "raw", join(folder, "disk.raw"), "1M");
    });
  });
  afterAll(() => both?.close());

  it.each(STEPS.map(([command, args]) => [command, args] as const))(
    "%s %j",
    async (command, args) => {
      if (command !== nodes[0]) return await both.expectEqual(command, args);
      expect(await nodesOf(both.ours)).toEqual(await nodesOf(both.theirs));
    },
  );

  it("and the run replays, without a finding", () => both.expectSound());
});
