// What nodes are called that are more than a file: by the server that an NBD client has, by the rules of blkdebug, by both sides of blkverify;
// and how much of the disk they say they take. As Debian's qemu-storage-daemon calls them.

import { spawn, spawnSync } from "node:child_process";
import { existsSync, truncateSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { haveTools } from "../nbd-peers/live-server.ts";
import { type BothDaemons, startBoth } from "./both-daemons.ts";
import { type QmpClient, runningIn } from "./running-daemon.ts";

const PEER = haveTools("qemu-storage-daemon", "qemu-nbd", "qemu-img");

const file = { driver: "file", filename: "x" };
const unix = { type: "unix", path: "n.sock" };
const nbd = (more: object) => ({ driver: "nbd", server: unix, export: "exp", ...more });
const debug = (more: object) => ({ driver: "blkdebug", image: file, ...more });
const rule = { event: "read_aio", errno: 5, sector: 10_000 };

/** `PORT` is that of a server over TCP. */
const NODES: readonly object[] = [
  nbd({}),
  nbd({ "reconnect-delay": 3 }),
  nbd({ server: { type: "inet", host: "127.0.0.1", port: "PORT" } }),
  { driver: "raw", file: nbd({}) },
  { driver: "raw", offset: 512, file: nbd({}) },
  {
    driver: "raw",
    offset: 512,
    file: nbd({ server: { type: "inet", host: "127.0.0.1", port: "PORT" } }),
  },
  { driver: "blkverify", raw: file, test: nbd({}) },
  debug({}),
  debug({ config: "rules" }),
  debug({ "max-transfer": 4096 }),
  debug({ align: 4096, "inject-error": [rule] }),
  debug({ image: nbd({}) }),
  { driver: "raw", file: debug({ config: "rules" }) },
  { driver: "blkverify", raw: file, test: { driver: "file", filename: "y" } },
  { driver: "blkverify", raw: file, test: debug({ align: 512 }) },
];

/** Of all nodes, in one order: which of them is made first differs. */
async function namesOf(qmp: QmpClient): Promise<string[]> {
  const nodes = (await qmp.execute("query-named-block-nodes", { flat: true })) as Shown[];
  return nodes
    .map(
      ({ drv, file: name, image }) =>
        `${drv} ${sorted(name)} ${sorted(image.filename)} ${image["actual-size"]}`,
    )
    .sort();
}

interface Shown {
  readonly drv: string;
  readonly file: string;
  readonly image: { readonly filename: string; readonly "actual-size"?: number };
}

/** The options in a name are in any order. */
function sorted(name: string): string {
  if (!name.startsWith("json:")) return name;
  const order = (value: unknown): unknown =>
    typeof value !== "object" || value === null
      ? value
      : Object.fromEntries(
          Object.entries(value)
            .sort()
            .map(([key, member]) => [key, order(member)]),
        );
  return JSON.stringify(order(JSON.parse(name.slice("json:".length))));
}

/** A port that nobody has: free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}

describe.skipIf(!PEER)("a node that is more than a file", () => {
  let both: BothDaemons;
  let port = 0;
  beforeAll(async () => {
    port = await freePort();
    both = await startBoth([], async (folder) => {
      for (const name of ["x", "y", "served"]) {
        writeFileSync(join(folder, name), "");
        truncateSync(join(folder, name), 1 << 20);
      }
      writeFileSync(join(folder, "rules"), '[inject-error]\nevent = "write_aio"\nonce = "on"\n');
      spawnSync("qemu-img", ["create", "-q", "-f", "qcow2", "-b", "x", "-F", "raw", "top"], {
        cwd: folder,
      });
      const served = ["-t", "-f", "raw", "-x", "exp", "-e", "8", "--shared=8", "served"];
      const start = (...where: string[]): void => {
        runningIn(
          folder,
          spawn("qemu-nbd", [...where, ...served], { cwd: folder, stdio: "ignore" }),
        );
      };
      start("-k", join(folder, "n.sock"));
      while (!existsSync(join(folder, "n.sock")))
        await new Promise((resolve) => setTimeout(resolve, 20));
    });
    const { folder } = both.ours;
    const how = ["-t", "-f", "raw", "-x", "exp", "-e", "8", "-b", "127.0.0.1", "-p", `${port}`];
    runningIn(folder, spawn("qemu-nbd", [...how, "y"], { cwd: folder, stdio: "ignore" }));
    await new Promise((resolve) => setTimeout(resolve, 500));
  });
  afterAll(() => both?.close());

  it.each(NODES.map((one) => [JSON.stringify(one)] as const))(
    "%s has QEMU's name",
    async (text) => {
      const node = { ...JSON.parse(text.replaceAll("PORT", String(port))), "node-name": "n" };
      await both.expectEqual("blockdev-add", node);
      expect(await namesOf(both.ours.qmp)).toEqual(await namesOf(both.theirs.qmp));
      await both.expectEqual("blockdev-del", { "node-name": "n" });
    },
  );

  it("that copies what it reads down to a node that is not below it is refused; QEMU searches for ever", async () => {
    const { qmp } = both.ours;
    const below = { driver: "qcow2", file: { driver: "file", filename: "top" }, "node-name": "t" };
    await qmp.execute("blockdev-add", below);
    await qmp.execute("blockdev-add", { driver: "null-co", "node-name": "elsewhere" });
    const node = { driver: "copy-on-read", "node-name": "c", file: "t", bottom: "elsewhere" };
    expect(await qmp.refusal("blockdev-add", node)).toBe(
      "GenericError: Bottom node 'elsewhere' is not below the node that is filtered",
    );
    await qmp.execute("blockdev-add", { ...node, bottom: "t" });
  });

  it("leaves a recording that replays", async () => {
    await both.theirs.qmp.execute("quit");
    await both.expectSound();
  });
});
