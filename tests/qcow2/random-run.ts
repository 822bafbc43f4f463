// One seed of random work: an image of ours or of qemu-img's, changed by our driver and by QEMU's programs in turn; after each turn
// both must say the same of it.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Prng } from "#core/base";
import { bdrvOpenPath, qcow2SnapshotList } from "#core/drivers";
import { bdrvUnref } from "#core/graph";
import type { Polls } from "#core/sched";
import { ourMap, qemuMap } from "./image-map.ts";
import { drawOurs, makeTheirs } from "./make-image.ts";
import { RandomImage } from "./random-image.ts";
import type { Subject } from "./subject.ts";
import {
  bitmapInfo,
  dirtyAreas,
  qemu,
  qemuCheck,
  runOnFiles,
  scratchFolder,
} from "./test-support.ts";
import { theirTurn } from "./their-turn.ts";

const TURNS = 3;

/** What is wrong after so many rounds of ours, which are spread over the turns; "" when nothing is. */
export async function randomProblem(seed: number, rounds: number): Promise<string> {
  const folder = scratchFolder();
  const prng = new Prng(seed, 1);
  let description = "";
  try {
    const subject = prng.chance(1, 2)
      ? await madeByUs(folder.path, prng)
      : makeTheirs(folder.path, prng);
    description = subject.description;
    for (let turn = 0; turn < TURNS; turn++) {
      const problem =
        (await ourTurn(subject, prng, Math.ceil(rounds / TURNS))) || problemOf(subject);
      if (problem !== "") return `turn ${turn}: ${description}: ${problem}`;
      theirTurn(subject, prng);
    }
    const problem = (await ourTurn(subject, prng, 1)) || problemOf(subject);
    return problem === "" ? "" : `at the end: ${description}: ${problem}`;
  } catch (error) {
    const { stderr = "" } = error as { stderr?: string };
    return `${description}: ${(error as Error).message} ${stderr}`;
  } finally {
    folder.remove();
  }
}

async function madeByUs(folder: string, prng: Prng): Promise<Subject> {
  const { subject, make } = drawOurs(folder, prng);
  await runOnFiles(make);
  return subject;
}

/**
 * Some rounds of our driver; before and after them it and qemu-img must agree on where everything is. Every other turn is recorded as a
 * daemon's is, so that requests may be done in one go.
 */
async function ourTurn(subject: Subject, prng: Prng, rounds: number): Promise<string> {
  const seed = prng.u32();
  const before = subject.copy();
  const theirs = qemuMap(subject.path);
  let ours: Record<"before" | "after", readonly string[]> = { before: [], after: [] };
  let snapshots: string[] = [];
  const main = function* (): Polls<void> {
    const worked = before.copy();
    const image = new RandomImage(worked, new Prng(seed, 2));
    const mapBefore = yield* mapUntouched(subject);
    const bs = yield* image.openImage();
    snapshots = qcow2SnapshotList(bs).map(({ name }) => name);
    yield* image.checkAll();
    for (let round = 0; round < rounds; round++) yield* image.workRound();
    yield* image.closeImage();
    ours = { before: mapBefore, after: yield* mapUntouched(subject) };
    subject.worked(worked);
  };
  await runOnFiles(main, seed % 2 === 0 ? "full" : "inputs");
  if (snapshots.join() !== [...subject.snapshots.keys()].join()) return `snapshots ${snapshots}`;
  return mapProblem(theirs, ours.before) || mapProblem(qemuMap(subject.path), ours.after);
}

/**
 * What our driver maps, of an image that is open for reading only: to open it for writing may change how much of the file is on the
 * disk, by which both tell whether to look for holes in it.
 */
function* mapUntouched({ path, openOptions }: Subject): Polls<readonly string[]> {
  const bs = yield* bdrvOpenPath({ ...openOptions, path, format: "qcow2", readOnly: true });
  const map = yield* ourMap(bs);
  yield* bdrvUnref(bs);
  return map;
}

function mapProblem(theirs: readonly string[] = [], ours: readonly string[] = []): string {
  const at = theirs.findIndex((line, index) => line !== ours[index]);
  if (at < 0 && theirs.length === ours.length) return "";
  const lines = (map: readonly string[]) => map.slice(Math.max(0, at - 1), at + 3).join("; ");
  return `qemu-img maps ${lines(theirs)}, we ${lines(ours)}`;
}

/** What QEMU's programs find wrong. */
function problemOf(subject: Subject): string {
  const { path, folder, shadow, snapshots, bitmaps } = subject;
  const checked = qemuCheck(path);
  if (checked !== "") return checked;
  const raw = join(folder, "back.raw");
  const reads = (wanted: Uint8Array, ...how: string[]): boolean => {
    qemu("qemu-img", "convert", ...how, "-f", "qcow2", "-O", "raw", path, raw);
    // A snapshot is read as if it were as long as the disk is now.
    const bytes = Math.min(wanted.length, shadow.length);
    return Buffer.compare(readFileSync(raw).subarray(0, bytes), wanted.subarray(0, bytes)) === 0;
  };
  if (!reads(shadow)) return "qemu-img reads something else";
  for (const [name, then] of snapshots)
    if (!reads(then, "-l", `snapshot.name=${name}`)) return `snapshot ${name} is something else`;
  const known = [...bitmaps].map(([name, { granularity, recording }]) => {
    return `${name} ${granularity} ${recording ? "auto" : ""}`;
  });
  const stored = bitmapInfo(path);
  if (stored.sort().join() !== known.sort().join()) return `bitmaps are ${stored}, not ${known}`;
  return rawFileProblem(subject) || bitmapProblem(subject);
}

/** A raw data file is the disk. */
function rawFileProblem({ description, folder, shadow }: Subject): string {
  const path = join(folder, "image.data");
  if (!description.includes('"dataFile":"raw"') || !existsSync(path)) return "";
  const data = readFileSync(path).subarray(0, shadow.length);
  return Buffer.compare(data, shadow) === 0 ? "" : "the raw data file holds something else";
}

/** What has changed is dirty; what is disabled records nothing. */
function bitmapProblem({ path, shadow, bitmaps }: Subject): string {
  for (const [name, { since, recording, granularity }] of bitmaps) {
    const areas = dirtyAreas(path, name);
    if (!recording && areas.length > 0) return `bitmap ${name} records and should not`;
    if (!recording) continue;
    const isDirty = new Uint8Array(since.length);
    for (const [start, length] of areas) isDirty.fill(1, start, start + length);
    const missed = since.findIndex((byte, at) => byte !== shadow[at] && isDirty[at] === 0);
    if (missed >= 0) return `bitmap ${name} of ${granularity} does not know of byte ${missed}`;
  }
  return "";
}
