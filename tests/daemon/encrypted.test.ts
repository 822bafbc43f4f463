// Encrypted images: no image that is one can be opened, and whatever leads to one is refused in one sentence that names how it is encrypted.
// What is said of one that is not is refused as by Debian's qemu-storage-daemon.

import { execFileSync } from "node:child_process";
import { closeSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { haveTools } from "../nbd-peers/live-server.ts";
import { type BothDaemons, startBoth } from "./both-daemons.ts";
import { daemonFolder, removeFolder, startDaemon } from "./running-daemon.ts";

const PEER = haveTools("qemu-storage-daemon", "qemu-img");
const METHODS = { aes: 1, luks: 2, odd: 3 } as const;

/** An image that says it is encrypted, one of each kind; their keys would be looked for later than here. */
function makeImages(folder: string): void {
  const create = (name: string, ...more: string[]): void => {
    const path = join(folder, name);
    execFileSync("qemu-img", ["create", "-q", "-f", "qcow2", ...more, path, "1M"]);
  };
  create("plain");
  for (const [name, method] of Object.entries(METHODS)) {
    create(name);
    create(`on-${name}`, "-u", "-b", name, "-F", "qcow2");
    const fd = openSync(join(folder, name), "r+");
    writeSync(fd, Uint8Array.of(method), 0, 1, 35);
    closeSync(fd);
  }
}

const node = (name: string, encrypt?: unknown): object => ({
  ...{ driver: "qcow2", "node-name": "n", file: { driver: "file", filename: name } },
  ...(encrypt === undefined ? {} : { encrypt }),
});

const REFUSED_ALIKE: readonly object[] = [
  node("plain", { format: "luks", "key-secret": "s" }),
  node("plain", { format: "aes" }),
  node("plain", { format: "qcow" }),
  node("plain", { "key-secret": "s" }),
  node("plain", {}),
  node("plain", null),
  node("plain", { format: "luks", nosuch: "s" }),
  node("plain", { format: "luks", "key-secret": 5 }),
  node("luks", { format: "aes", "key-secret": "s" }),
  node("aes", { format: "luks", "key-secret": "s" }),
  node("odd"),
];

const said = (format: string): string =>
  `GenericError: ${format} encryption of qcow2 images is not supported`;

describe.skipIf(!PEER)("an encrypted image", () => {
  let both: BothDaemons;
  beforeAll(async () => {
    both = await startBoth([], makeImages);
  });
  afterAll(() => both?.close());

  it.each(REFUSED_ALIKE.map((one) => [JSON.stringify(one), one] as const))(
    "that is none, or another: %s is refused in QEMU's words",
    async (_text, one) => {
      await both.expectEqual("blockdev-add", one);
      expect(await both.ours.qmp.refusal("blockdev-add", { ...one })).toMatch(/^GenericError/);
    },
  );

  it.each(["aes", "luks"])("by %s is refused by name, with and without a key", async (format) => {
    const { qmp } = both.ours;
    for (const encrypt of [undefined, { format, "key-secret": "s" }, { format }])
      expect(await qmp.refusal("blockdev-add", { ...node(format, encrypt) })).toBe(
        said(format.toUpperCase()),
      );
  });

  it("below another image is refused by name, too, wherever an image can be named", async () => {
    const { qmp } = both.ours;
    const why = "LUKS encryption of qcow2 images is not supported";
    expect(await qmp.refusal("blockdev-add", { ...node("on-luks") })).toContain(why);
    await qmp.execute("blockdev-add", { driver: "null-co", "node-name": "base" });
    const overlay = { "node-name": "base", "snapshot-file": "luks", "snapshot-node-name": "top" };
    const snapshot = { ...overlay, format: "qcow2", mode: "existing" };
    expect(await qmp.refusal("blockdev-snapshot-sync", snapshot)).toContain(why);
    const folder = daemonFolder();
    makeImages(folder);
    const named = [
      ["--drive", "id=d,file=luks,format=qcow2"],
      ["--drive", "id=d,file=luks"],
      ["--drive", 'id=d,file=json:{"driver":"qcow2",,"file":{"driver":"file",,"filename":"luks"}}'],
      ["--drive", 'id=d,file=json:{"encrypt.format":"luks",,"file.filename":"luks"}'],
      ["--blockdev", "qcow2,node-name=n,encrypt.format=luks,file.driver=file,file.filename=luks"],
    ];
    for (const args of named) {
      const daemon = await startDaemon(folder, args);
      expect(await daemon.ended).toBe(2);
      expect(daemon.stderr()).toContain(why);
    }
    removeFolder(folder);
  });

  it("leaves a recording that replays", () => both.expectSound());
});
