// Objects, and the options of null and throttle nodes, as qemu-storage-daemon has them: what is told of them, what is refused, and
// limits that change while clients wait for them.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { haveTools, tool } from "../nbd-peers/live-server.ts";
import { type BothDaemons, type Peer, startBoth } from "./both-daemons.ts";

const PEER = haveTools("qemu-storage-daemon", "qemu-io");

let both: BothDaemons;

beforeAll(async () => {
  if (!PEER) return;
  both = await startBoth([
    ...["--object", "throttle-group,id=tg0,limits.iops-total=100"],
    ...[
      "--object",
      "throttle-group,id=tg1,x-iops-total=7,x-bps-read-max=100,x-bps-read=50,x-iops-size=512",
    ],
    ...["--object", "iothread,id=io0"],
    ...["--blockdev", "null-co,node-name=n0,size=1048576,read-zeroes=on"],
    ...["--blockdev", "null-aio,node-name=slow,size=65536,latency-ns=300000000"],
    ...["--blockdev", "throttle,node-name=t0,file=n0,throttle-group=tg0"],
    ...["--nbd-server", "addr.type=unix,addr.path=nbd.sock"],
    ...["--export", "nbd,id=e,node-name=t0,writable=on"],
    ...["--export", "nbd,id=e2,node-name=slow,writable=on"],
  ]);
});
afterAll(() => both?.close());

const limits = { path: "tg0", property: "limits" };
const set = (value: unknown, more: object = {}) =>
  ["qom-set", { ...limits, value, ...more }] as const;
const group = (id: string, more: object) =>
  ["object-add", { "qom-type": "throttle-group", id, ...more }] as const;
const node = (more: object) =>
  ["blockdev-add", { driver: "null-co", "node-name": "n1", ...more }] as const;
const throttled = (more: object) =>
  ["blockdev-add", { driver: "throttle", "node-name": "t1", file: "n0", ...more }] as const;
const reopened = (more: object) =>
  [
    "blockdev-reopen",
    { options: [{ driver: "throttle", "node-name": "t0", file: "n0", ...more }] },
  ] as const;
const iothread = (id: string, more: object) =>
  ["object-add", { "qom-type": "iothread", id, ...more }] as const;
const param = (property: string, value?: unknown) =>
  [
    value === undefined ? "qom-get" : "qom-set",
    { path: "i1", property, ...(value === undefined ? {} : { value }) },
  ] as const;
const nodes = ["query-named-block-nodes", {}] as const;

const STEPS: readonly (readonly [string, object])[] = [
  // qom-get
  ["qom-get", limits],
  ["qom-get", { ...limits, path: "/objects/tg0" }],
  ["qom-get", { ...limits, path: "objects/tg0" }],
  ["qom-get", { ...limits, path: "//objects/tg0/" }],
  ["qom-get", { ...limits, path: "/tg0" }],
  ["qom-get", { ...limits, path: "none" }],
  ["qom-get", { ...limits, path: "tg0/x" }],
  ["qom-get", { path: "tg1", property: "limits" }],
  ["qom-get", { path: "tg1", property: "x-iops-total" }],
  ["qom-get", { path: "tg1", property: "x-bps-read-max" }],
  ["qom-get", { path: "tg1", property: "x-bps-read-max-length" }],
  ["qom-get", { path: "tg1", property: "x-iops-size" }],
  ["qom-get", { path: "tg0", property: "type" }],
  ["qom-get", { path: "io0", property: "type" }],
  ["qom-get", { path: "/objects", property: "tg0" }],
  ["qom-get", { path: "/", property: "objects" }],
  ["qom-get", { path: "/", property: "type" }],
  ["qom-get", { path: "tg0", property: "none" }],
  ["qom-get", { path: "tg0" }],
  ["qom-get", { property: "limits" }],
  ["qom-list", { path: "none" }],
  ["qom-list", {}],
  // qom-set
  set({ "iops-total": 200 }),
  ["qom-get", limits],
  set({ "iops-total": 5, "iops-read": 5 }),
  set({ "iops-total": -5 }),
  set({ "iops-total": "many" }),
  set({ "iops-total-max": 100 }),
  set({ "bps-read": 1000, "bps-read-max": 5000, "bps-read-max-length": 3 }),
  ["qom-get", limits],
  set({ none: 5 }),
  set(5),
  set(null),
  set([]),
  set({}),
  ["qom-set", limits],
  set(50, { property: "x-iops-total" }),
  set("x", { property: "type" }),
  set("x", { property: "none" }),
  set("x", { path: "/", property: "objects" }),
  ["qom-get", limits],
  // throttle-group
  group("g", { "x-iops-total": -1 }),
  group("g", { "x-iops-total": "5" }),
  group("g", { "x-iops-total-max-length": 2 ** 33 }),
  group("g", { "x-iops-total": 5, "x-iops-read": 4 }),
  group("g", { limits: { "iops-total": 5, "iops-total-max": 3 } }),
  group("g", { limits: { "iops-total": 5 }, "x-iops-total": 4, "x-iops-total-max": 9 }),
  group("g", {}),
  ["qom-get", { path: "g", property: "limits" }],
  ["object-del", { id: "g" }],
  ["qom-get", { path: "g", property: "limits" }],
  // throttle
  throttled({}),
  throttled({ "throttle-group": "" }),
  throttled({ "throttle-group": "none" }),
  throttled({ "throttle-group": "tg1", limits: {} }),
  throttled({ "throttle-group": "tg1", "read-only": true }),
  nodes,
  ["object-del", { id: "tg1" }],
  ["blockdev-del", { "node-name": "t1" }],
  reopened({}),
  reopened({ "throttle-group": "none" }),
  reopened({ "throttle-group": "tg1" }),
  nodes,
  ["object-del", { id: "tg0" }],
  group("tg0", {}),
  reopened({ "throttle-group": "tg0" }),
  // iothread
  iothread("i0", { "poll-max-ns": -1 }),
  iothread("i0", { "poll-grow": -1 }),
  iothread("i0", { "poll-shrink": -1 }),
  iothread("i0", { "aio-max-batch": -1 }),
  iothread("i0", { "thread-pool-min": -1 }),
  iothread("i0", { "thread-pool-max": -1, "poll-max-ns": -1 }),
  iothread("i0", { "thread-pool-max": 0 }),
  iothread("i0", { "thread-pool-max": 0, "poll-max-ns": -1 }),
  iothread("i0", { "thread-pool-max": 2 ** 31 }),
  iothread("i0", { "thread-pool-min": 65 }),
  iothread("i0", { "thread-pool-min": 5, "thread-pool-max": 4 }),
  iothread("i0", { "poll-max-ns": "5" }),
  iothread("i0", { none: 5 }),
  iothread("i1", { "poll-max-ns": 900, "thread-pool-min": 1, "thread-pool-max": 7 }),
  ...["poll-max-ns", "poll-grow", "poll-shrink", "aio-max-batch", "thread-pool-min"].map((name) =>
    param(name),
  ),
  param("poll-max-ns", 800),
  param("poll-max-ns", -7),
  param("poll-max-ns"),
  param("poll-grow", 3),
  param("poll-shrink", 1.5),
  param("thread-pool-min", 9),
  param("thread-pool-min"),
  param("thread-pool-max", 8),
  param("thread-pool-max", 10),
  param("thread-pool-max"),
  ["object-del", { id: "i1" }],
  // null-co
  node({ "latency-ns": -1 }),
  node({ "latency-ns": "a" }),
  node({ "latency-ns": 1.5 }),
  node({ size: "1M" }),
  node({ "read-zeroes": "on" }),
  node({ size: 511, "latency-ns": 0 }),
  nodes,
  ["block_resize", { "node-name": "n1", size: 4096 }],
  ["blockdev-reopen", { options: [{ driver: "null-co", "node-name": "n1", size: 1024 }] }],
  [
    "blockdev-reopen",
    { options: [{ driver: "null-co", "node-name": "n1", size: 511, "read-only": true }] },
  ],
  nodes,
  ["blockdev-del", { "node-name": "n1" }],
  node({}),
  nodes,
];

/** The names and types of `path`, in one order. */
async function properties({ qmp }: Peer, path: string): Promise<string[]> {
  const list = (await qmp.execute("qom-list", { path })) as { name: string; type: string }[];
  return list.map(({ name, type }) => `${name} ${type}`).sort();
}

/** Milliseconds that a client of `peer` takes for these commands of qemu-io on `name`. */
async function timeOf(
  { folder }: Peer,
  name: string,
  commands: readonly string[],
): Promise<number> {
  const uri = `nbd+unix:///${name}?socket=${join(folder, "nbd.sock")}`;
  const before = performance.now();
  await tool("qemu-io", "-f", "raw", ...commands.flatMap((one) => ["-c", one]), uri);
  return performance.now() - before;
}

describe.skipIf(!PEER)("objects, null and throttle nodes are those of qemu-storage-daemon", () => {
  it.each(STEPS.map(([command, args]) => [command, args] as const))("%s %j", (command, args) =>
    both.expectEqual(command, args),
  );

  it("and the objects have the same properties", async () => {
    for (const path of ["/", "/objects", "tg0", "/objects/tg1", "/objects/io0", "/chardevs"])
      expect([path, await properties(both.ours, path)]).toEqual([
        path,
        await properties(both.theirs, path),
      ]);
    const nothing = { path: "io0", property: "poll-max-ns" };
    expect(await both.ours.qmp.execute("qom-get", nothing)).toBe(0);
  });

  it("a latency is waited for", async () => {
    for (const peer of [both.ours, both.theirs])
      expect(await timeOf(peer, "slow", ["read 0 512", "write 0 512"])).toBeGreaterThan(600);
  });

  it("limits change while a client waits", async () => {
    for (const peer of [both.ours, both.theirs]) {
      await peer.qmp.execute("qom-set", { ...limits, value: { "iops-total": 2 } });
      expect(await timeOf(peer, "t0", Array(4).fill("write 0 512"))).toBeGreaterThan(900);
      const uri = `nbd+unix:///t0?socket=${join(peer.folder, "nbd.sock")}`;
      const client = spawn("qemu-io", [
        "-f",
        "raw",
        ...Array(12).fill(["-c", "write 0 512"]).flat(),
        uri,
      ]);
      const over = once(client, "close");
      await new Promise((go) => setTimeout(go, 300));
      const before = performance.now();
      await peer.qmp.execute("qom-set", { ...limits, value: { "iops-total": 0 } });
      await over;
      expect(performance.now() - before).toBeLessThan(3000);
    }
  });

  it("and the run replays, without a finding", async () => {
    await both.theirs.qmp.execute("quit");
    await both.expectSound();
  });
});
