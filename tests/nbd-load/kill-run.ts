// kill -9 in the middle of load: a raw and a qcow2 image of one daemon are written by several requests at once until the process is
// killed at a random moment. Then every write that was durable is there, and the qcow2 image has leaks at most; with lazy
// refcounts, whose counts are known to be out of date while the image is marked dirty, it has so when they were counted anew. What was
// recorded up to the kill replays, and is without a finding.

import { copyFileSync, mkdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { must, Prng } from "#core/base";
import { tool } from "../nbd-peers/live-server.ts";
import { recordingsIn, soundnessOfDaemon } from "../record-replay/soundness.ts";
import { startProcess } from "./daemon-process.ts";
import { LoadClient } from "./load-client.ts";
import { BLOCK_BYTES, VersionModel } from "./version-model.ts";

const IMAGE_BYTES = 8 * 1024 * 1024;
const DEPTH = 8;
const BLOCKS = IMAGE_BYTES / BLOCK_BYTES;
const FORMATS = ["raw", "qcow2"] as const;
type Format = (typeof FORMATS)[number];

/** What one kill showed. */
export interface KillResult {
  /** What was lost or is corrupt, and what is not sound in the recording. */
  readonly problems: readonly string[];
  readonly durableWrites: number;
  readonly leaks: number;
  /** Events of the recording of what was killed, which was replayed and judged. */
  readonly events: number;
}

/** Images for kills, in a folder of their own; each kill goes on with what the last one left. */
export class KillImages {
  readonly folder: string;
  readonly #contents = new Map<Format, Buffer>();

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async create(folder: string, qcow2Options = "lazy_refcounts=off"): Promise<KillImages> {
    mkdirSync(folder, { recursive: true });
    const images = new KillImages(folder);
    const size = String(IMAGE_BYTES);
    await tool("qemu-img", "create", "-q", "-f", "raw", images.#path("raw"), size);
    const options = ["-o", qcow2Options];
    await tool("qemu-img", "create", "-q", "-f", "qcow2", ...options, images.#path("qcow2"), size);
    for (const format of FORMATS) images.#contents.set(format, Buffer.alloc(IMAGE_BYTES));
    return images;
  }

  #path(format: Format): string {
    return join(this.folder, `image.${format}`);
  }

  /** Serve, load, kill at a moment that `prng` says, and look at what is left. */
  async kill(prng: Prng): Promise<KillResult> {
    rmSync(join(this.folder, "pid"), { force: true });
    rmSync(join(this.folder, "nbd.sock"), { force: true });
    rmSync(join(this.folder, "traces"), { recursive: true, force: true });
    const daemon = await startProcess(this.folder, [
      ...["--object", "iothread,id=io0"],
      ...["--blockdev", "raw,node-name=raw,file.driver=file,file.filename=image.raw"],
      ...["--blockdev", "qcow2,node-name=qcow2,file.driver=file,file.filename=image.qcow2"],
      ...["--nbd-server", "addr.type=unix,addr.path=nbd.sock"],
      ...["--export", "nbd,id=e0,node-name=raw,writable=on"],
      ...["--export", "nbd,id=e1,node-name=qcow2,writable=on,iothread=io0"],
    ]);
    const models = new Map<Format, VersionModel>();
    const loads: Promise<void>[] = [];
    for (const format of FORMATS) {
      const before = must(this.#contents.get(format), "an image has contents");
      const model = new VersionModel(before);
      models.set(format, model);
      const client = await LoadClient.open(join(this.folder, "nbd.sock"), format);
      for (let i = 0; i < DEPTH; i++)
        loads.push(untilOver(client, model, new Prng(prng.below(2 ** 31), i), i));
    }
    await new Promise((resolve) => setTimeout(resolve, 5 + prng.below(300)));
    daemon.process.kill("SIGKILL");
    await daemon.ended;
    await Promise.all(loads);
    return await this.#judge(models);
  }

  async #judge(models: ReadonlyMap<Format, VersionModel>): Promise<KillResult> {
    const problems: string[] = [];
    const image = this.#path("qcow2");
    const { corruptions, leaks, errors } = await check(
      isDirty(image) ? await repaired(image) : image,
    );
    if (corruptions > 0 || errors > 0) problems.push(`qcow2: ${corruptions} corruptions`);
    const flat = join(this.folder, "flat");
    await tool("qemu-img", "convert", "-O", "raw", image, flat);
    let durableWrites = 0;
    for (const [format, model] of models) {
      const found = readFileSync(format === "raw" ? this.#path("raw") : flat);
      problems.push(...model.problems(found).map((problem) => `${format}: ${problem}`));
      this.#contents.set(format, found);
      durableWrites += model.durableWrites;
    }
    let events = 0;
    for (const trace of recordingsIn(join(this.folder, "traces"))) {
      const soundness = soundnessOfDaemon(trace);
      problems.push(...soundness.problems.map((problem) => `recording: ${problem}`));
      if (soundness.complete) problems.push("recording: it does not break off");
      events += soundness.events;
    }
    return { problems, durableWrites, leaks, events };
  }

  /** Bytes of the qcow2 file: leaks do not pile up without end. */
  get fileBytes(): number {
    return statSync(this.#path("qcow2")).size;
  }
}

/** Whether the counts are out of date (incompatible feature bit 0 in byte 79; version 2 has no such bit). */
function isDirty(image: string): boolean {
  const header = readFileSync(image).subarray(0, 80);
  return header.readUInt32BE(4) >= 3 && (header.readUInt8(79) & 1) !== 0;
}

/** A copy whose counts QEMU has made anew, as it does for each dirty image that it opens for writing. */
async function repaired(image: string): Promise<string> {
  const copy = `${image}.repaired`;
  copyFileSync(image, copy);
  await tool("qemu-io", "-c", "read 0 512", copy);
  return copy;
}

async function check(
  image: string,
): Promise<{ corruptions: number; leaks: number; errors: number }> {
  const { stdout } = await tool("qemu-img", "check", "--output=json", image);
  const { corruptions = 0, leaks = 0, "check-errors": errors = 0 } = JSON.parse(stdout);
  return { corruptions, leaks, errors };
}

/** One request after the other, in blocks of its own (`lane`), until the connection is over. */
async function untilOver(
  client: LoadClient,
  model: VersionModel,
  prng: Prng,
  lane: number,
): Promise<void> {
  try {
    for (;;) await one(client, model, prng, lane);
  } catch (error) {
    if (!client.isOver) throw error;
  }
}

async function one(
  client: LoadClient,
  model: VersionModel,
  prng: Prng,
  lane: number,
): Promise<void> {
  const kind = prng.below(10);
  if (kind === 0) {
    const all = model.flushBegins();
    await client.flush();
    model.flushed(all);
    return;
  }
  const fua = kind === 1;
  const lanes = BLOCKS / DEPTH;
  const count = 1 + prng.below(kind === 2 ? 32 : 4);
  const first = lane * lanes + prng.below(lanes - count + 1);
  const { data, all } = model.begin(first, count, kind === 2 || kind === 3);
  if (data === null) await client.zero(first * BLOCK_BYTES, count * BLOCK_BYTES, fua);
  else await client.write(first * BLOCK_BYTES, data, fua);
  model.answered(all, fua);
}
