// Requests by hand: qemu-io over QMP's human-monitor-command, on qcow2 above blkdebug, and the same text from Debian's qemu-io.

import { writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { tool } from "../nbd-peers/live-server.ts";
import { NO_QEMU, qemu } from "../qcow2/test-support.ts";
import {
  daemonFolder,
  expectSound,
  type QmpClient,
  qmpClient,
  type RunningDaemon,
  removeFolder,
  startDaemon,
} from "./running-daemon.ts";

let folder: string;
beforeEach(() => {
  folder = daemonFolder();
});
afterEach(() => removeFolder(folder));

/** What a command answers, and the lines that it prints (`count` of them at least), without the times in them. */
async function qemuIo(
  daemon: RunningDaemon,
  qmp: QmpClient,
  command: string,
  count: number,
): Promise<string[]> {
  const before = daemon.stdout().length;
  const line = `qemu-io disk "${command}"`;
  const answer = await qmp.execute("human-monitor-command", { "command-line": line });
  for (;;) {
    const text = `${String(answer)}${daemon.stdout().slice(before)}`;
    const lines = text.split(/\r?\n/).filter((one) => one !== "");
    // What it prints comes by another way than its answer.
    if (lines.length >= count) return lines.map(withoutTimes);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function withoutTimes(line: string): string {
  return line.replace(/ops; .*/, "ops; ...").replace(/^(\d+,1),.*/, "$1,...");
}

const blkdebug = {
  driver: "blkdebug",
  config: "rules",
  "inject-error": [{ event: "read_aio", iotype: "read", sector: 2048 * 8, errno: 28, once: true }],
  image: { driver: "file", filename: "disk.qcow2" },
};

/** Compressed data replaces nothing that has a place, and whatever has none. */
const COMPRESSED = [
  ...["write -c 256k 64k", "write -c -P 1 128k 64k", "write -c -P 1 64k 64k"],
  ...["read -P 0 64k 64k", "read -P 10 128k 64k", "read -P 0xcd 256k 64k"],
  ...["write -z 384k 64k", "write -c -P 1 384k 64k", "read -P 1 384k 64k"],
  ...["write -P 2 448k 4k", "write -z 448k 64k", "write -c -P 1 448k 64k"],
  ...["write -P 3 448k 64k", "discard 448k 64k", "write -c -P 1 448k 64k", "read -P 1 448k 64k"],
];

/** What both do; `at` has a file `source`. */
function commandsIn(at: string): string[] {
  return [
    "write -P 0xa 64k 128k",
    "read -P 10 64k 64k",
    "read -P 11 -s 512 -l 1k 64k 64k",
    "write -z -u 64k 64k",
    "write -c -q 256k 64k",
    "read -q -P 0xcd 256k 64k",
    ...COMPRESSED,
    "discard 128k 64k",
    "flush",
    "map",
    "write -u 0 1",
    "write -P 256 0 1",
    "read 2M 1k",
    "read 0 x",
    ...["write -f 0 4k", "write -z -f 4k 4k", "write -C 8k 4k", "read -C 0 4k", "read -p 0 4k"],
    ...["read -P 7 -s 12 -l 8 12k 1k", "read -P 1 -l 4k 0 1k", "write -z -P 1 0 1k"],
    ...["write -c -f 0 64k", "write -c 0 1000", "write -n 0 1k", "write -n -z 64k 64k"],
    ...["write -nzu 64k 64k", "write 0 3G", "read 0 3G", "discard 0 3000M", "discard -q 0 64k"],
    ...["discard -C 0 64k", "discard 2M 64k", "f", "r 0 1k", "w 0 1k", "d 0 1k"],
    ...["read 1.5k 1k", "read 0x400 1k", "read 0 1kk", "read 0 99999999999999999999"],
    ...["write -P 010 0 1", "write -P x 0 1", "read -P -1 0 1"],
    ...["aio_write -f 0 4k", "aio_flush", "aio_write -zu 0 4k 4k", "aio_write -u 0 4k"],
    ...["aio_write -z 0 4k", "aio_flush", "aio_write -P 5 0 1k 1k 2k", "aio_flush"],
    ...["aio_read -P 5 0 4k", "aio_flush", "aio_read -P 6 0 4k", "aio_flush", "aio_read -q 0 4k"],
    ...["aio_flush", "aio_write -q 0 4k", "aio_flush", "aio_read -i 0 4k", "aio_write -i 0 4k"],
    ...["aio_read 0 2000M 2000M", "aio_write 2M 1k", "aio_flush", "map"],
    ...["read -v 0 33", "read -vq 0 33", "read -v -P 1 0 20", "aio_read -v 0 40", "aio_flush"],
    ...[`write -s ${at}/source 500k 1000`, "read -v 500k 40"],
    ...["write -s x -z 0 1k", "write -s x -P 1 0 1k"],
    ...["write -b -z 0 1k", "write -b -f 0 1k", "write -bc 1 1k", "read -b 1 512", "read -b 0 1"],
    // Part of a cluster with data is not zeroed without writing; what reads as zeroes already is.
    ...["write -P 5 64k 64k", "write -n -z 65k 1k", "read -P 5 64k 64k", "write -z 64k 64k"],
    ...["write -n -z 65k 1k", "write -n -z 128k 64k"],
    ...[
      "read +5 512",
      "read 1. 512",
      "read 1.k 512",
      "read 0 0.000001G",
      "read 1.5 1",
      "read 0 1e3",
    ],
    ...["read 0 7E", "read 7E 1", "read 0 8E", "aio_read 0 3G", "write -P +1 0 1", "read 0 1.1k"],
    ...["read -l 5 0 512", "read -P x 0", "truncate 1M 2M"],
  ];
}

describe.skipIf(NO_QEMU !== "")(`qemu-io in the monitor${NO_QEMU}`, () => {
  it("reads, writes, discards and maps in QEMU's words; rules fail what they name", async () => {
    qemu("qemu-img", "create", "-q", "-f", "qcow2", `${folder}/disk.qcow2`, "1M");
    writeFileSync(`${folder}/rules`, '[set-state]\nevent = "l2_load"\nnew_state = "2"\n');
    const disk = { driver: "qcow2", "node-name": "disk", file: blkdebug, discard: "unmap" };
    const daemon = await startDaemon(folder, ["--blockdev", JSON.stringify(disk)]);
    expect(daemon.stderr()).toBe("");
    const qmp = await qmpClient(`${folder}/qmp.sock`);
    const run = (command: string, count = 1) => qemuIo(daemon, qmp, command, count);
    const commands = commandsIn(folder);
    writeFileSync(`${folder}/source`, "a source of bytes");
    const copy = `${folder}/copy.qcow2`;
    qemu("qemu-img", "create", "-q", "-f", "qcow2", copy, "1M");
    const theirs = await tool(
      "qemu-io",
      "-d",
      "unmap",
      ...commands.flatMap((one) => ["-c", one]),
      copy,
    );
    const expected = theirs.stdout.trimEnd().split("\n").map(withoutTimes);
    const start = daemon.stdout().length;
    for (const command of commands) await run(command, 0);
    const ours = () => daemon.stdout().slice(start).trimEnd().split("\n").map(withoutTimes);
    await expect.poll(ours, { timeout: 10_000 }).toEqual(expected);
    // Errors of words come back to the client; qemu-io has what getopt says on its standard error.
    expect(await run("read 0")).toEqual([
      "bad argument count 1 to read, expected at least 2 arguments",
    ]);
    expect(await run("write -x 0 1k", 2)).toEqual([
      "write: invalid option -- 'x'",
      "write [-bcCfnquz] [-P pattern | -s source_file] off len -- writes a number of bytes at a specified offset",
    ]);
    expect(await run(`write -s ${folder}/none 0 1k`)).toEqual([
      `${folder}/none: No such file or directory`,
    ]);
    writeFileSync(`${folder}/empty`, "");
    expect(await run(`write -s ${folder}/empty 0 1k`)).toEqual([`${folder}/empty: file is empty`]);
    expect((await run("read 0 1 -P", 2))[0]).toBe("read: option requires an argument -- 'P'");
    expect(await run("truncate")).toEqual([
      "bad argument count 0 to truncate, expected between 1 and 3 arguments",
    ]);
    expect((await run("read 0x1k 512", 2))[0]).toBe(
      "warning: Using a multiplier suffix on hex numbers is deprecated: 0x1k",
    );
    expect(await run("read -b 0 512")).toEqual(["read failed: Operation not supported"]);
    expect(await run("frobnicate")).toEqual(['command "frobnicate" not found']);
    const nobody = { "command-line": 'qemu-io nobody "flush"' };
    expect(await qmp.execute("human-monitor-command", nobody)).toBe(
      "Error: Cannot find device='' nor node-name='nobody'\r\n",
    );
    await qmp.execute("quit");
    expect(await daemon.ended).toBe(0);
    await expectSound(daemon.trace());
  });

  it("holds a request in the background at a breakpoint, and lets it go on", async () => {
    qemu("qemu-img", "create", "-q", "-f", "qcow2", `${folder}/disk.qcow2`, "1M");
    const debug = { driver: "blkdebug", image: blkdebug.image };
    const disk = { driver: "qcow2", "node-name": "disk", file: debug };
    const daemon = await startDaemon(folder, [
      ...["--object", "iothread,id=io0", "--blockdev", JSON.stringify(disk)],
    ]);
    expect(daemon.stderr()).toBe("");
    const qmp = await qmpClient(`${folder}/qmp.sock`);
    await qmp.execute("x-blockdev-set-iothread", { "node-name": "disk", iothread: "io0" });
    const run = (command: string, count = 1) => qemuIo(daemon, qmp, command, count);
    expect(await run("break nothing A")).toEqual([
      "Could not set breakpoint: No such file or directory",
    ]);
    expect(await run("break write_aio A", 0)).toEqual([]);
    expect(await run("aio_write -P 3 0 4k 4k")).toEqual(["blkdebug: Suspended request 'A'"]);
    expect(await run("wait_break A", 0)).toEqual([]);
    expect(await run("read -P 0 0 8k", 2)).toContain("read 8192/8192 bytes at offset 0");
    expect(await run("resume A", 3)).toEqual([
      "blkdebug: Resuming request 'A'",
      "wrote 8192/8192 bytes at offset 0",
      "8 KiB, 1 ops; ...",
    ]);
    expect(await run("aio_flush", 0)).toEqual([]);
    expect(await run("resume A")).toEqual(["Could not resume request: No such file or directory"]);
    expect(await run("read -q -P 3 0 8k", 0)).toEqual([]);
    expect(await run("remove_break A")).toEqual([
      "Could not remove breakpoint A: No such file or directory",
    ]);
    await qmp.execute("quit");
    expect(await daemon.ended).toBe(0);
    await expectSound(daemon.trace());
  });
});
