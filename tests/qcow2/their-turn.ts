// What QEMU's programs do to an image between two of our turns: requests of qemu-io, snapshots, bitmaps, another size.

import { spawnSync } from "node:child_process";
import type { Prng } from "#core/base";
import type { Subject } from "./subject.ts";
import { qemu } from "./test-support.ts";

/** Some operations; those that change the image's shape, too. */
export function theirTurn(subject: Subject, prng: Prng): void {
  for (let i = 0; i < 4; i++) {
    const kind = prng.below(10);
    if (kind < 5) someRequests(subject, prng);
    else if (kind < 7) snapshotOperation(subject, prng);
    else if (kind < 9) bitmapOperation(subject, prng);
    else resize(subject, prng);
  }
}

/** Writes, zeroes and discards in one run of qemu-io. */
function someRequests(subject: Subject, prng: Prng): void {
  const commands = compressedWrite(subject, prng);
  for (let i = 0; i < 8; i++) commands.push(request(subject, prng));
  const flags = commands.flatMap((command) => ["-c", command]);
  const out = qemu("qemu-io", "-d", "unmap", "-f", "qcow2", ...flags, subject.path);
  if (out.includes("failed")) throw new Error(`qemu-io: ${commands.join("; ")}: ${out}`);
}

/**
 * A compressed cluster. There it does not overwrite one that has data. And there is one in a run: when one is freed, the next is still
 * placed behind it, where other data may be by then, and the image is corrupt (QEMU 7.2: free_byte_offset).
 */
function compressedWrite(subject: Subject, prng: Prng): string[] {
  const { shadow, clusterBytes, hasDataFile, version, hasBacking } = subject;
  if (hasDataFile || (version < 3 && hasBacking)) return [];
  const cluster = prng.below(Math.ceil(shadow.length / clusterBytes));
  const start = cluster * clusterBytes;
  const end = Math.min(start + clusterBytes, shadow.length);
  const value = 1 + prng.below(255);
  shadow.fill(value, start, end);
  const range = `${start} ${end - start}`;
  return [`discard ${range}`, `write -c -P ${value} ${range}`];
}

function request(subject: Subject, prng: Prng): string {
  const { shadow } = subject;
  const offset = prng.below(shadow.length);
  const bytes = 1 + prng.below(Math.min(shadow.length - offset, 300_000));
  const kind = prng.below(4);
  if (kind < 2) {
    const value = prng.below(256);
    shadow.fill(value, offset, offset + bytes);
    return `write -P ${value} ${offset} ${bytes}`;
  }
  if (kind === 2) {
    shadow.fill(0, offset, offset + bytes);
    return `write -z ${prng.chance(1, 2) ? "-u " : ""}${offset} ${bytes}`;
  }
  subject.discarded(offset, bytes);
  return `discard ${offset} ${bytes}`;
}

/** A snapshot is taken, deleted, or gone back to. */
function snapshotOperation(subject: Subject, prng: Prng): void {
  const { snapshots, path, shadow } = subject;
  // Counts of a few bits are full soon, as compressed clusters share host clusters.
  if (subject.hasDataFile || subject.refcountBits < 16) return;
  const names = [...snapshots.keys()];
  const kind = names.length === 0 ? 0 : prng.below(4);
  if (kind < 2) {
    const name = `s${prng.below(1_000_000)}`;
    qemu("qemu-img", "snapshot", "-c", name, path);
    snapshots.set(name, Uint8Array.from(shadow));
    return;
  }
  const name = prng.pick(names);
  if (kind === 2) {
    qemu("qemu-img", "snapshot", "-d", name, path);
    snapshots.delete(name);
    return;
  }
  const then = snapshots.get(name);
  // In version 2 the size is for ever; bitmaps would not know what changes.
  if (then === undefined || subject.bitmaps.size > 0 || then.length !== shadow.length) return;
  qemu("qemu-img", "snapshot", "-a", name, path);
  subject.shadow = Uint8Array.from(then);
}

/** A bitmap is added or removed. */
function bitmapOperation(subject: Subject, prng: Prng): void {
  const { bitmaps, path, shadow } = subject;
  if (subject.version < 3) return;
  const bitmap = (...args: string[]) => qemu("qemu-img", "bitmap", "-f", "qcow2", ...args);
  const names = [...bitmaps.keys()];
  if (names.length > 2) {
    const name = prng.pick(names);
    bitmap("--remove", path, name);
    bitmaps.delete(name);
    return;
  }
  const name = `b${prng.below(1_000_000)}`;
  const granularity = 2 ** (9 + prng.below(8));
  const recording = prng.chance(3, 4);
  const flags = recording ? [] : ["--disable"];
  bitmap("--add", ...flags, "-g", String(granularity), path, name);
  bitmaps.set(name, { granularity, recording, since: Uint8Array.from(shadow) });
}

function resize(subject: Subject, prng: Prng): void {
  const { version, snapshots, path, shadow, clusterBytes } = subject;
  if (version < 3 && snapshots.size > 0) return;
  const size = 512 * (1 + prng.below(Math.min(2 * shadow.length, 16 << 20) / 512));
  const flags = size < shadow.length ? ["--shrink"] : [];
  const args = ["resize", "-q", "-f", "qcow2", ...flags, path, String(size)];
  const { status, stderr } = spawnSync("qemu-img", args, { encoding: "utf8" });
  // A compressed cluster at the end that has subclusters: it cannot be made to read as zeroes in part.
  if (stderr.includes("Failed to zero out new clusters: Operation not supported")) return;
  if (status !== 0) throw new Error(`qemu-img resize: ${stderr}`);
  // What was cut off within a cluster shows again there when the disk grows.
  const old = shadow.length;
  const stale = Math.min(size, Math.ceil(old / clusterBytes) * clusterBytes) - old;
  if (stale > 0) qemu("qemu-io", "-f", "qcow2", "-c", `write -z ${old} ${stale}`, path);
  subject.resized(size);
}
