// Images whose name has a protocol: `json:` and options, `file:` and a path, and others; as the header of an image has them for what is
// below. Our daemon and Debian's qemu-storage-daemon open the same, and refuse in the same words.

import { spawnSync } from "node:child_process";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { haveTools } from "../nbd-peers/live-server.ts";
import { type BothDaemons, startBoth } from "./both-daemons.ts";
import { expectAllSound, qmpClient, startDaemon } from "./running-daemon.ts";

const PEER = haveTools("qemu-storage-daemon", "qemu-img", "qemu-io");
const BASE = '{"driver":"file","filename":"base.qcow2"}';

/** The name of what is below, and its format where the image says one. */
const NAMES: readonly (readonly [string, string?])[] = [
  [`json:{"driver":"qcow2","file":${BASE}}`],
  [`json:{"driver":"qcow2","file":${BASE}}`, "qcow2"],
  [`json:{"driver":"qcow2","file":${BASE}}`, "raw"],
  [`json:{"driver":"qcow2","file":${BASE}}`, "nosuch"],
  ['json:{"driver":"qcow2","file.driver":"file","file.filename":"base.qcow2"}'],
  ['json:{"file":{"filename":"base.qcow2"}}'],
  ['json:{"file.filename":"base.qcow2"}'],
  [`json:{"driver":"qcow2","backing":null,"node-name":"named","file":${BASE}}`],
  [`json:{"driver":"qcow2","lazy-refcounts":"on","file":${BASE}}`],
  [`json:{"driver":"qcow2","lazy-refcounts":"x","file":${BASE}}`],
  [`json:{"driver":"qcow2","cache":{"direct":false},"file":${BASE}}`],
  [`json:{"driver":"raw","offset":65536,"file":${BASE}}`],
  [`json:{"driver":"raw","offset":65536,"size":65536,"file":${BASE}}`],
  ['json:{"driver":"null-co","size":65536,"read-zeroes":true}'],
  [`json:${BASE}`],
  [`json:${BASE}`, "qcow2"],
  ['json:{"filename":"base.qcow2"}'],
  ['json:{"driver":"qcow2","file":"base.qcow2"}'],
  ['json:{"driver":"qcow2","file":null}'],
  ['json:{"driver":"qcow2"}'],
  ['json:{"driver":"nosuch"}'],
  [`json:{"driver":"qcow2","nosuch":1,"file":${BASE}}`],
  ['json:{"driver":"qcow2","file":{"driver":"file","filename":"nosuch"}}'],
  ['json:{"driver":"qcow2","file":{"driver":"file","filename":"json:{}"}}'],
  [`json:{"driver":"throttle","throttle-group":"none","file":${BASE}}`],
  ["json:{}"],
  ["json:{"],
  ["json:[1]"],
  ["json:1"],
  ["json:x"],
  ["json:"],
  ["json:{} {}"],
  ["file:base.qcow2"],
  ["file:nosuch"],
  ["nosuch:base.qcow2"],
  ["./json:x"],
];

/** Of a node, what is looked at here. */
interface Shown {
  readonly drv: string;
  readonly image: { readonly "virtual-size": number };
}

/** Sizes and numbers as text; what a node is told of shows them as they were written in QEMU, and as numbers here. */
const NUMBERS: readonly string[] = [
  'json:{"driver":"null-co","size":"1M","read-zeroes":"on"}',
  'json:{"driver":"null-co","size":"0.5k","read-zeroes":"yes"}',
  'json:{"driver":"null-co","size":"0x200","read-zeroes":"true","latency-ns":"5"}',
  'json:{"driver":"null-co","size":"1K","read-zeroes":"n"}',
  `json:{"driver":"raw","offset":"64k","size":"0x10000","file":${BASE}}`,
  `json:{"driver":"raw","offset":"64k","size":"1x","file":${BASE}}`,
  `json:{"driver":"raw","offset":"1.3","file":${BASE}}`,
  `json:{"driver":"raw","offset":"99E","file":${BASE}}`,
  `json:{"driver":"raw","offset":"","file":${BASE}}`,
  `json:{"driver":"raw","offset":-5,"file":${BASE}}`,
  `json:{"driver":"qcow2","l2-cache-size":"1M","cache-clean-interval":"5","file":${BASE}}`,
  `json:{"driver":"qcow2","l2-cache-size":"many","file":${BASE}}`,
  `json:{"driver":"qcow2","cache-clean-interval":"5k","file":${BASE}}`,
  `json:{"driver":"qcow2","cache-clean-interval":"99999999999999999999","file":${BASE}}`,
  `json:{"driver":"qcow2","lazy-refcounts":"maybe","file":${BASE}}`,
  `json:{"driver":"blkdebug","align":"4k","max-transfer":"64k","image":${BASE}}`,
  `json:{"driver":"blkdebug","align":"4y","image":${BASE}}`,
  `json:{"driver":"preallocate","prealloc-align":"1M","prealloc-size":"16M","file":${BASE}}`,
  'json:{"driver":"file","aio-max-batch":"x","filename":"base.qcow2"}',
  'json:{"driver":"file","aio-max-batch":"3","filename":"base.qcow2"}',
];

/** An image of version 3 without extensions, which then names what is below it. */
function naming(plain: Buffer, name: string, format = ""): Buffer {
  const image = Buffer.from(plain);
  const padded = Buffer.alloc(Math.ceil(format.length / 8) * 8, "\0");
  padded.write(format);
  const header = Buffer.alloc(8);
  header.writeUInt32BE(0xe279_2aca);
  header.writeUInt32BE(format.length, 4);
  const extension = format === "" ? Buffer.alloc(0) : Buffer.concat([header, padded]);
  const at = image.readUInt32BE(100);
  const rest = Buffer.concat([extension, Buffer.alloc(8), Buffer.from(name)]);
  rest.copy(image, at);
  image.writeBigUInt64BE(BigInt(at + extension.length + 8), 8);
  image.writeUInt32BE(name.length, 16);
  return image;
}

function run(command: string, ...args: string[]): void {
  const { status, stderr } = spawnSync(command, args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")}: ${stderr}`);
}

function makeImages(folder: string): void {
  const at = (name: string): string => join(folder, name);
  for (const name of ["base.qcow2", "plain.qcow2"])
    run("qemu-img", "create", "-q", "-f", "qcow2", at(name), "1M");
  run("qemu-io", "-f", "qcow2", "-c", "write -P 1 0 64k", at("base.qcow2"));
  copyFileSync(at("base.qcow2"), at("json:x"));
  const plain = readFileSync(at("plain.qcow2"));
  for (const [index, [name, format]] of NAMES.entries())
    writeFileSync(at(`top${index}`), naming(plain, name, format));
  for (const [index, name] of NUMBERS.entries())
    writeFileSync(at(`numbers${index}`), naming(plain, name));
  writeFileSync(at("circle"), naming(plain, CIRCLE));
}

const CIRCLE = 'json:{"driver":"qcow2","file":{"driver":"file","filename":"circle"}}';

describe.skipIf(!PEER)("an image below whose name has a protocol", () => {
  let both: BothDaemons;
  beforeAll(async () => {
    both = await startBoth([], makeImages);
  });
  afterAll(() => both?.close());

  it.each(NAMES.map(([name, format = ""], index) => [name, format, index] as const))(
    "%s (%s) is opened or refused as by qemu-storage-daemon",
    async (_name, _format, index) => {
      const file = { driver: "file", filename: `top${index}` };
      const node = { driver: "qcow2", "node-name": "top", "read-only": true, file };
      try {
        await both.expectEqual("blockdev-add", node);
        await both.expectEqual("query-named-block-nodes", {}, ["actual-size"]);
      } finally {
        const top = { "node-name": "top" };
        for (const { qmp } of [both.ours, both.theirs])
          await qmp.execute("blockdev-del", top).catch(() => undefined);
      }
    },
  );

  it.each(NUMBERS.map((name, index) => [name, index] as const))(
    "%s has the same sizes, or is refused in the same words",
    async (_name, index) => {
      const file = { driver: "file", filename: `numbers${index}` };
      const node = { driver: "qcow2", "node-name": "top", "read-only": true, file };
      await both.expectEqual("blockdev-add", node);
      const sizes: unknown[] = [];
      for (const { qmp } of [both.ours, both.theirs]) {
        const nodes = (await qmp.execute("query-named-block-nodes")) as Shown[];
        sizes.push(nodes.map((one) => `${one.drv} ${one.image["virtual-size"]}`).sort());
        await qmp.execute("blockdev-del", { "node-name": "top" }).catch(() => undefined);
      }
      expect(sizes[0]).toEqual(sizes[1]);
    },
  );

  it.each([
    ["size", "1X", "Parameter 'size' expects a non-negative number below 2^64"],
    ["latency-ns", "1M", "Parameter 'latency-ns' expects a number"],
    ["latency-ns", "-1", "Parameter 'latency-ns' expects a number"],
  ])("with a %s of %s is refused, where qemu-storage-daemon aborts", async (member, value, why) => {
    const filename = `null-${member}${value}`;
    const plain = readFileSync(join(both.ours.folder, "plain.qcow2"));
    const name = `json:{"driver":"null-co","${member}":"${value}"}`;
    writeFileSync(join(both.ours.folder, filename), naming(plain, name));
    const file = { driver: "file", filename };
    const node = { driver: "qcow2", "node-name": "top", "read-only": true, file };
    const said = `GenericError: Could not open backing file: ${why}`;
    expect(await both.ours.qmp.refusal("blockdev-add", node)).toBe(said);
  });

  it("is refused when it leads in a circle", async () => {
    const file = { driver: "file", filename: "circle" };
    const circle = { driver: "qcow2", "node-name": "circle", "read-only": true, file };
    const { qmp } = both.ours;
    await expect(qmp.execute("blockdev-add", circle)).rejects.toThrow(/is too long$/);
  });

  it("leaves recordings that replay", () => both.expectSound());
});

describe.skipIf(!PEER)("a drive whose file has a protocol", () => {
  it("is opened by the options in its name, and refused in one sentence", async () => {
    const { folder } = await (async () => {
      const made = await startBoth([], makeImages);
      await made.expectSound();
      made.peer.kill();
      return { folder: made.ours.folder };
    })();
    const window = `json:{"driver":"raw","offset":65536,"file":${BASE}}`.replaceAll(",", ",,");
    const daemon = await startDaemon(folder, [
      ...["--drive", `id=d0,file=${window},read-only=on`],
      ...["--drive", "id=d1,file=file:base.qcow2,read-only=on,node-name=plain"],
    ]);
    expect(daemon.stderr()).toBe("");
    const qmp = await qmpClient(join(folder, "qmp.sock"));
    const blocks = (await qmp.execute("query-block")) as readonly {
      readonly inserted: { readonly drv: string; readonly image: { readonly filename: string } };
    }[];
    expect(
      blocks.map(({ inserted }) => [inserted.drv, inserted.image.filename.slice(0, 5)]),
    ).toEqual([
      ["raw", "json:"],
      ["qcow2", "base."],
    ]);
    await qmp.execute("quit");
    expect(await daemon.ended).toBe(0);
    const broken = await startDaemon(folder, ["--drive", "id=d0,file=json:{"]);
    expect(await broken.ended).not.toBe(0);
    expect(broken.stderr()).toContain(
      "Could not parse the JSON options: JSON parse error, premature EOI",
    );
    await expectAllSound(folder);
  });
});
