// Images that QEMU's programs made: our driver reads the same, and what it writes there they read, and find nothing wrong. All
// options are in the long form.

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { bdrvOpenPath, qcow2SnapshotList } from "#core/drivers";
import { bdrvUnref } from "#core/graph";
import type { Polls } from "#core/sched";
import { NO_QEMU, qemu, qemuCheck, runOnFiles, scratchFolder } from "./test-support.ts";
import { CONVERT_OPTIONS, convertProblem, diskContents, readDisk, writeSome } from "./theirs.ts";

const folder = scratchFolder();
const at = (name: string) => join(folder.path, name);
afterAll(() => folder.remove());

const contents = diskContents();

const expectSame = (actual: Uint8Array, wanted: Uint8Array) =>
  expect(Buffer.compare(actual, wanted)).toBe(0);

describe.skipIf(NO_QEMU !== "")(`images of qemu-img${NO_QEMU}`, () => {
  beforeAll(() => writeFileSync(at("disk.raw"), contents));

  it.each(CONVERT_OPTIONS.filter((_, index) => index % 3 === 0))(
    "convert -o %s",
    async (options) => {
      expect(await convertProblem(folder.path, options)).toBe("");
    },
  );

  it("with a chain of backing files, which are named relative to the image", async () => {
    qemu("qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-c", at("disk.raw"), at("base.qcow2"));
    const create = (name: string, backing: string, format: string) =>
      qemu("qemu-img", "create", "-q", "-f", "qcow2", "-b", backing, "-F", format, at(name));
    create("middle.qcow2", "base.qcow2", "qcow2");
    create("top.qcow2", "middle.qcow2", "qcow2");
    create("above-raw.qcow2", "disk.raw", "raw");
    const shadow = Uint8Array.from(contents);
    await runOnFiles(function* (): Polls<void> {
      yield* writeSome(at("top.qcow2"), shadow);
      expectSame(yield* readDisk(at("top.qcow2")), shadow);
      expectSame(yield* readDisk(at("middle.qcow2")), contents);
      expectSame(yield* readDisk(at("above-raw.qcow2")), contents);
    });
    expect(qemuCheck(at("top.qcow2"))).toBe("");
    qemu("qemu-img", "convert", "-f", "qcow2", "-O", "raw", at("top.qcow2"), at("back.raw"));
    expectSame(readFileSync(at("back.raw")), shadow);
  });

  it("with internal snapshots, which are listed and stay as they were", async () => {
    const path = at("snapshots.qcow2");
    qemu("qemu-img", "convert", "-f", "raw", "-O", "qcow2", at("disk.raw"), path);
    qemu("qemu-img", "snapshot", "-c", "first", path);
    qemu("qemu-io", "-f", "qcow2", "-c", "write -P 7 100k 300k", path);
    qemu("qemu-img", "snapshot", "-c", "second", path);
    const shadow = Uint8Array.from(contents);
    shadow.fill(7, 100 << 10, 400 << 10);
    const second = Uint8Array.from(shadow);
    await runOnFiles(function* (): Polls<void> {
      yield* writeSome(path, shadow);
      expectSame(yield* readDisk(path), shadow);
      const bs = yield* bdrvOpenPath({ path, readOnly: true });
      expect(qcow2SnapshotList(bs).map(({ id, name }) => `${id} ${name}`)).toEqual([
        "1 first",
        "2 second",
      ]);
      yield* bdrvUnref(bs);
    });
    expect(qemuCheck(path)).toBe("");
    for (const [name, wanted] of [
      ["first", contents],
      ["second", second],
    ] as const) {
      qemu("qemu-img", "convert", "-l", name, "-f", "qcow2", "-O", "raw", path, at("back.raw"));
      expectSame(readFileSync(at("back.raw")), wanted);
    }
  });
});
