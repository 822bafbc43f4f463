// Tools that nobody here wrote work with our NBD server, and each recording of that replays identically, with neither image nor
// socket, and gives no finding.

import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { servedImage } from "../../daemon/nbd/test-support.ts";
import { roundTripOf } from "../record-replay/round-trip.ts";
import { soundnessOf } from "../record-replay/soundness.ts";
import { haveTools, type LiveServer, newFolder, serveLive, tool } from "./live-server.ts";

const MIB = 1024 * 1024;

/** A server of an image with these contents. */
async function server(contents: Uint8Array, options: Parameters<typeof serveLive>[1] = {}) {
  const folder = newFolder();
  writeFileSync(join(folder, "image"), contents);
  return await serveLive(folder, options);
}

/** It ends well, its recording replays and is without a finding. */
async function endsWell(live: LiveServer, writable = true): Promise<void> {
  const { outcome, bytes } = await live.stop();
  expect(outcome).toBe("ok");
  const same = servedImage({
    address: { type: "unix", path: live.socket },
    stop: { type: "unix", path: join(live.folder, "stop.sock") },
    writable,
  });
  expect(roundTripOf(same, bytes)).toMatchObject({ problem: "" });
  expect(soundnessOf(same, bytes)).toMatchObject({ complete: true, problems: [] });
}

describe.skipIf(!haveTools("nbdinfo", "nbdcopy"))("libnbd", () => {
  it("reads what an export is", async () => {
    const live = await server(new Uint8Array(MIB));
    const info = await tool("nbdinfo", "--json", live.uri);
    expect(info).toMatchObject({ status: 0, stderr: "" });
    const json = JSON.parse(info.stdout);
    expect(json.protocol).toBe("newstyle-fixed");
    expect(json.exports[0]).toMatchObject({
      "export-name": "disk",
      description: "the test's",
      "export-size": MIB,
      is_read_only: false,
      can_multi_conn: true,
      can_flush: true,
      can_fua: true,
      can_zero: true,
      can_trim: true,
      can_df: true,
      block_size_minimum: 1,
    });
    const list = await tool("nbdinfo", "--list", "--json", `nbd+unix:///?socket=${live.socket}`);
    expect(JSON.parse(list.stdout).exports).toHaveLength(1);
    const wrong = await tool("nbdinfo", `nbd+unix:///nosuch?socket=${live.socket}`);
    expect(wrong.stderr).toContain("No such file or directory for export: nosuch");
    await endsWell(live);
  });

  it("maps what is data and what is a hole", async () => {
    const live = await server(new Uint8Array(MIB));
    const map = await tool("nbdinfo", "--map", "--json", live.uri);
    const extents = JSON.parse(map.stdout) as { offset: number; length: number }[];
    expect(extents.reduce((sum, { length }) => sum + length, 0)).toBe(MIB);
    const depth = await tool("nbdinfo", "--map=qemu:allocation-depth", "--json", live.uri);
    expect(JSON.parse(depth.stdout)[0]).toMatchObject({ offset: 0, type: 1 });
    await endsWell(live);
  });

  it("copies an image out and in, over several connections", async () => {
    const contents = randomBytes(3 * MIB);
    const live = await server(contents);
    const out = join(live.folder, "copy");
    expect(await tool("nbdcopy", "--connections=4", live.uri, out)).toMatchObject({ status: 0 });
    expect(readFileSync(out).equals(contents)).toBe(true);
    const other = randomBytes(3 * MIB);
    writeFileSync(out, other);
    expect(await tool("nbdcopy", "--flush", out, live.uri)).toMatchObject({ status: 0 });
    expect(readFileSync(live.image).equals(other)).toBe(true);
    await endsWell(live);
  });
});

describe.skipIf(!haveTools("qemu-img", "qemu-io"))("QEMU's tools", () => {
  it("see the size, convert, compare and write with flush and FUA", async () => {
    const contents = randomBytes(4 * MIB);
    const live = await server(contents);
    const info = await tool("qemu-img", "info", "--output=json", live.uri);
    expect(JSON.parse(info.stdout)["virtual-size"]).toBe(4 * MIB);
    const copy = join(live.folder, "copy.raw");
    expect(await tool("qemu-img", "convert", "-O", "raw", live.uri, copy)).toMatchObject({
      status: 0,
    });
    expect(await tool("qemu-img", "compare", copy, live.uri)).toMatchObject({ status: 0 });
    const map = await tool("qemu-img", "map", "--output=json", live.uri);
    const extents = JSON.parse(map.stdout) as { start: number; length: number }[];
    expect(extents.reduce((sum, { length }) => sum + length, 0)).toBe(4 * MIB);
    for (const how of [["-w", "--flush-interval=20"], []]) {
      const bench = ["bench", "-q", "-f", "raw", "-c", "100", "-d", "8", ...how, live.uri];
      expect(await tool("qemu-img", ...bench)).toMatchObject({ status: 0, stderr: "" });
    }
    const io = await tool(
      "qemu-io",
      ...["-f", "raw", live.uri],
      ...["-c", "write -P 0x55 4096 65536", "-c", "write -f -P 0x66 1M 512", "-c", "flush"],
      ...["-c", "write -z 8k 8k", "-c", "discard 2M 64k", "-c", "read -P 0x55 4096 4096"],
    );
    expect(io.stdout + io.stderr).not.toMatch(/error|failed/i);
    const written = readFileSync(live.image);
    expect(written.subarray(4096, 8192).every((byte) => byte === 0x55)).toBe(true);
    expect(written.subarray(8192, 16_384).every((byte) => byte === 0)).toBe(true);
    expect(written.subarray(MIB, MIB + 512).every((byte) => byte === 0x66)).toBe(true);
    await endsWell(live);
  });

  it("are refused a write to a read-only export", async () => {
    const live = await server(new Uint8Array(MIB), { writable: false });
    const io = await tool("qemu-io", "-f", "raw", live.uri, "-c", "write 0 512");
    expect(io.status).not.toBe(0);
    await endsWell(live, false);
  });
});

describe.skipIf(!haveTools("nbdkit", "nbdcopy"))("nbdkit", () => {
  it("stands in front, with a filter that splits requests", async () => {
    const contents = randomBytes(2 * MIB);
    const live = await server(contents);
    const copy = join(live.folder, "copy");
    const filtered = ["-U", "-", "--filter=blocksize", "nbd", live.uri, "maxdata=16k"];
    const out = await tool("nbdkit", ...filtered, "--run", `nbdcopy "$uri" ${copy}`);
    expect(out).toMatchObject({ status: 0, stderr: "" });
    expect(readFileSync(copy).equals(contents)).toBe(true);
    const other = randomBytes(2 * MIB);
    writeFileSync(copy, other);
    const back = await tool("nbdkit", ...filtered, "--run", `nbdcopy --flush ${copy} "$uri"`);
    expect(back).toMatchObject({ status: 0, stderr: "" });
    expect(readFileSync(live.image).equals(other)).toBe(true);
    await endsWell(live);
  });
});

describe.skipIf(!haveTools("fio"))("fio", () => {
  it("verifies what it wrote", async () => {
    const live = await server(new Uint8Array(4 * MIB));
    const fio = await tool(
      "fio",
      ...["--name=verify", "--ioengine=nbd", `--uri=${live.uri}`, "--rw=randwrite", "--bs=4k"],
      ...[
        "--iodepth=16",
        "--size=1m",
        "--verify=crc32c",
        "--verify_fatal=1",
        "--verify_state_save=0",
      ],
    );
    expect(fio).toMatchObject({ status: 0 });
    await endsWell(live);
  });
});
