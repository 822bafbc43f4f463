// blockdev-reopen of nodes with options of their driver: what was said must be said again, or can be changed, or is refused, as in Debian's
// qemu-storage-daemon.

import { execFileSync } from "node:child_process";
import { truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { haveTools } from "../nbd-peers/live-server.ts";
import { qemuCheck } from "../qcow2/test-support.ts";
import { type BothDaemons, startBoth } from "./both-daemons.ts";

const PEER = haveTools("qemu-storage-daemon", "qemu-img");

type Step = readonly [string, object];
const add = (node: object): Step => ["blockdev-add", node];
const reopen = (node: object): Step => ["blockdev-reopen", { options: [node] }];
const del = (name: string): Step => ["blockdev-del", { "node-name": name }];

const image = (more: object) => ({ driver: "qcow2", "node-name": "q", file: "fq", ...more });
const caches = { "l2-cache-size": 1 << 20, "cache-clean-interval": 3, "overlap-check": "all" };
const file = (more: object) => ({ driver: "file", "node-name": "b", filename: "x", ...more });
const chosen = { aio: "threads", locking: "off" };
const raw = (more: object) => ({ driver: "raw", "node-name": "r", file: "f", ...more });
const debug = (more: object) => ({ driver: "blkdebug", "node-name": "d", image: "f", ...more });
const rule = { event: "read_aio", errno: 5, sector: 10_000 };
const cor = (below: string) => ({ driver: "copy-on-read", "node-name": "c", file: below });
const compress = { driver: "compress", "node-name": "z", file: "q" };

const STEPS: readonly Step[] = [
  ...["f", "g"].map((name) => add({ driver: "file", "node-name": name, filename: "x" })),
  // qcow2
  add({ driver: "file", "node-name": "fq", filename: "q" }),
  add(image({ "lazy-refcounts": true, ...caches })),
  reopen(image({ "lazy-refcounts": true, ...caches })),
  reopen(image({ "lazy-refcounts": false })),
  reopen(image({})),
  reopen(image({ "l2-cache-size": 3 })),
  reopen(image({ "l2-cache-entry-size": 3 })),
  reopen(image({ "l2-cache-entry-size": 4096 })),
  reopen(image({ "cache-size": 1, "l2-cache-size": 200_000 })),
  reopen(image({ "cache-size": 300_000, "pass-discard-other": true })),
  reopen(image({ "overlap-check": { template: "none", "main-header": true } })),
  reopen(image({ "cache-clean-interval": 2 ** 33 })),
  reopen(image({ encrypt: { format: "luks", "key-secret": "s" } })),
  reopen(image({ "data-file": "f" })),
  reopen(image({ ...caches, "read-only": true })),
  reopen(image({ "cache-size": 300_000 })),
  // file
  add(file(chosen)),
  reopen(file(chosen)),
  reopen(file({ locking: "off" })),
  reopen(file({ aio: "threads" })),
  reopen(file({ ...chosen, locking: "auto" })),
  reopen(file({ ...chosen, aio: "native" })),
  reopen(file({ ...chosen, filename: "y" })),
  reopen(file({ ...chosen, "x-check-cache-dropped": true })),
  reopen(file({ ...chosen, "drop-cache": false })),
  reopen(file(chosen)),
  reopen(file({ ...chosen, "drop-cache": true, "aio-max-batch": 3 })),
  // raw
  add(raw({ offset: 512, size: 1024 })),
  reopen(raw({ offset: -1 })),
  reopen(raw({ size: -1 })),
  reopen(raw({ offset: 1024 })),
  del("r"),
  // blkdebug
  add(debug({ align: 4096, "inject-error": [rule] })),
  reopen(debug({ align: 4096, "inject-error": [rule] })),
  reopen(debug({ align: 512, "inject-error": [rule] })),
  reopen(debug({ align: 4096, "inject-error": [{ ...rule, errno: 6 }] })),
  reopen(debug({ "inject-error": [rule] })),
  del("d"),
  // What cannot be reopened.
  add(cor("f")),
  reopen(cor("f")),
  reopen(cor("g")),
  add(compress),
  reopen(compress),
  del("z"),
];

describe.skipIf(!PEER)("blockdev-reopen with options of the driver", () => {
  let both: BothDaemons;
  beforeAll(async () => {
    both = await startBoth([], (folder) => {
      writeFileSync(join(folder, "x"), "");
      truncateSync(join(folder, "x"), 1 << 20);
      execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", join(folder, "q"), "64M"]);
    });
  });
  afterAll(() => both?.close());

  it.each(STEPS.map(([command, args]) => [command, args] as const))("%s %j", (command, args) =>
    both.expectEqual(command, args),
  );

  it("and an image has its data through caches of every size", async () => {
    const { qmp, folder } = both.ours;
    const io = async (line: string): Promise<void> => {
      const command = { "command-line": `qemu-io q "${line}"` };
      expect(await qmp.execute("human-monitor-command", command)).toBe("");
    };
    const sizes = [
      { "l2-cache-size": 4096, "l2-cache-entry-size": 512 },
      { "cache-size": 1 << 22 },
    ];
    for (const [index, size] of [...sizes, ...sizes].entries()) {
      await io(`write -P ${index + 1} ${index * 9}M 3M`);
      await qmp.execute("blockdev-reopen", {
        options: [image({ ...size, "lazy-refcounts": index % 2 === 0 })],
      });
      for (let at = 0; at <= index; at++) await io(`read -P ${at + 1} ${at * 9}M 3M`);
    }
    await both.theirs.qmp.execute("quit");
    await both.expectSound();
    expect(both.daemon.stdout()).not.toContain("failed");
    expect(qemuCheck(join(folder, "q"))).toBe("");
  });
});
