// Images on real files: our driver on the live host, and QEMU's own programs on the same files.

import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BlockBackend, blkNewWithBs, blkUnref } from "#core/backend";
import { fileOpen, type Qcow2OpenOptions, qcow2Open } from "#core/drivers";
import { type BlockDriverState, bdrvUnref } from "#core/graph";
import {
  aioCoEnter,
  aioPoll,
  type Co,
  GuestBuffer,
  machine,
  type Polls,
  qemuCoroutineCreate,
} from "#core/sched";
import { runLiveSoundly } from "../record-replay/sound-run.ts";

/** Why the tests with QEMU's programs cannot run; "" when they can. */
export const NO_QEMU = ["qemu-img", "qemu-io"].every((tool) => existsSync(`/usr/bin/${tool}`))
  ? ""
  : " (skipped: no qemu-img and qemu-io; apt-get install qemu-utils adds them)";

/** Run `body` as the main context's thread on the live host, to its end; it is recorded, replays, and the analyzer finds nothing in it. */
export const runOnFiles = runLiveSoundly;

/** Run `co` in a coroutine of the main context; its result. Polls. */
export function* inCoroutine<T>(co: () => Co<T>): Polls<T> {
  const results: T[] = [];
  aioCoEnter(
    machine.mainContext,
    qemuCoroutineCreate(function* (): Co<void> {
      results.push(yield* co());
    }),
  );
  while (results.length === 0) yield* aioPoll(machine.mainContext, true);
  return results[0] as T;
}

/** The node of the image at `path`. Polls. */
export function* openImage(
  path: string,
  options: Partial<Qcow2OpenOptions> = {},
): Polls<BlockDriverState> {
  const { readOnly = false } = options;
  const file = yield* fileOpen({ nodeName: "", path, readOnly });
  return yield* qcow2Open({ nodeName: "", ...options, file });
}

/** Run `body` with a BlockBackend above the image at `path`, and close both. Polls. */
export function* withImage(
  path: string,
  body: (blk: BlockBackend, bs: BlockDriverState) => Polls<void>,
  options: Partial<Qcow2OpenOptions> = {},
): Polls<void> {
  const bs = yield* openImage(path, options);
  const blk = yield* blkNewWithBs(bs);
  yield* body(blk, bs);
  yield* blkUnref(blk);
  yield* bdrvUnref(bs);
}

/** Memory of a guest with these bytes. */
export function bufferWith(bytes: Uint8Array): GuestBuffer {
  return new GuestBuffer(bytes.length, bytes);
}

/** Run one of QEMU's programs; what it printed. Throws when it fails. */
export function qemu(tool: "qemu-img" | "qemu-io", ...args: string[]): string {
  return execFileSync(tool, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

/** What `qemu-img check` says; "" when the image is clean. */
export function qemuCheck(path: string): string {
  const { status, stdout, stderr } = spawnSync("qemu-img", ["check", "-f", "qcow2", path], {
    encoding: "utf8",
  });
  return status === 0 ? "" : `qemu-img check ended with ${status}: ${stdout}${stderr}`;
}

/** What `qemu-img info` says of the bitmaps of an image, `name granularity flags` each. */
export function bitmapInfo(path: string): string[] {
  const info = JSON.parse(qemu("qemu-img", "info", "-U", "--output=json", path));
  const bitmaps: { name: string; granularity: number; flags: string[] }[] =
    info["format-specific"].data.bitmaps ?? [];
  return bitmaps.map(({ name, granularity, flags }) => `${name} ${granularity} ${flags.join("+")}`);
}

/** Offset and length of what is dirty in a stored bitmap, as QEMU's programs read it. */
export function dirtyAreas(path: string, name: string): [number, number][] {
  const [socket, pid] = [`${path}.sock`, `${path}.pid`];
  const serve = ["-r", "-f", "qcow2", "-k", socket, "-B", name, "--fork", "--pid-file", pid, path];
  execFileSync("qemu-nbd", serve, { stdio: "ignore" });
  const server = readFileSync(pid, "utf8").trim();
  const map = qemuDirtyMap(`driver=nbd,server.type=unix,server.path=${socket}`, name);
  // It ends when its client has gone; before that it has the image, and the socket.
  execFileSync("sh", ["-c", `while kill -0 ${server}; do sleep 0.01; done`], { stdio: "ignore" });
  return map.map(({ start, length }) => [start, length]);
}

/** Dirty extents of what the image options describe: with that bitmap, `qemu-img map` calls them holes. */
export function qemuDirtyMap(
  imageOpts: string,
  name: string,
): { readonly start: number; readonly length: number }[] {
  const opts = `${imageOpts},x-dirty-bitmap=qemu:dirty-bitmap:${name}`;
  const out = qemu("qemu-img", "map", "--output=json", "--image-opts", opts);
  const extents: { start: number; length: number; data: boolean }[] = JSON.parse(out);
  return extents.filter(({ data }) => !data);
}

/** A folder for a test, and what removes it. */
export function scratchFolder(): { readonly path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), "quiesce-qcow2-"));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}
