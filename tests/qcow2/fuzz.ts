// Images with damaged metadata: whatever a byte is changed to, opening, reading, writing and checking end with an answer.

import {
  blkCoFlush,
  blkCoPdiscard,
  blkCoPreadv,
  blkCoPwritev,
  blkNewWithBs,
  blkUnref,
} from "#core/backend";
import { assert, must, Prng } from "#core/base";
import { fileOpen, type Qcow2CreateOptions, qcow2Create, qcow2Open } from "#core/drivers";
import { type BdrvCheckResult, BlockError, bdrvUnref } from "#core/graph";
import { bdrvCoCheck } from "#core/io";
import { hostAllocate, type Polls } from "#core/sched";
import { SimulatedFile, type SimulatedHost, type World } from "#explorer";
import { outside, runSimulatedSoundly } from "../record-replay/sound-run.ts";
import { runSimulated } from "./simulated.ts";
import { bufferWith, inCoroutine } from "./test-support.ts";

const PATH = "images/image";
const DISK_BYTES = 1 << 18;

/** The bytes of an image with some data in it. */
export function sampleImage(options: Omit<Qcow2CreateOptions, "file" | "size">): Uint8Array {
  let image: Uint8Array | null = null;
  runSimulated(1, function* (_world, host): Polls<void> {
    const file = yield* fileOpen({ nodeName: "", path: PATH, create: true });
    yield* qcow2Create({ ...options, file, size: DISK_BYTES });
    const bs = yield* qcow2Open({ nodeName: "", file });
    const blk = yield* blkNewWithBs(bs);
    for (let at = 0; at < DISK_BYTES; at += 30_000) {
      const qiov = { buffer: bufferWith(new Uint8Array(10_000).fill(7)), start: 0 };
      const ret = yield* inCoroutine(() => blkCoPwritev(blk, at, 10_000, qiov));
      assert(ret === 0, "the image can be written");
    }
    yield* blkUnref(blk);
    yield* bdrvUnref(bs);
    image = outside(() => contentsOf(host));
  });
  return must(image as Uint8Array | null, "the run came to its end");
}

function contentsOf(host: SimulatedHost): Uint8Array {
  const file = must(host.disk.files.get(PATH), "the image is there");
  const bytes = new Uint8Array(file.size);
  file.read(0, bytes);
  return bytes;
}

/** `image` with a few bytes changed, mostly where the tables are. */
export function damaged(image: Uint8Array, prng: Prng): Uint8Array {
  const bytes = Uint8Array.from(image);
  // Nothing in guest data can be wrong, so only bytes that are not 7 are worth it.
  for (let changes = 1 + prng.below(3); changes > 0; ) {
    const at = prng.chance(1, 3) ? prng.below(120) : prng.below(bytes.length);
    const was = bytes[at] ?? 0;
    if (was === 7 || (was === 0 && prng.chance(9, 10))) continue;
    bytes[at] = prng.chance(1, 2) ? was ^ (1 << prng.below(8)) : prng.below(256);
    changes--;
  }
  return bytes;
}

/** Do with the image what users do; how it ended. Throws what is no answer, and what is wrong with the recording if there is one. */
export function useImage(bytes: Uint8Array, seed: number, isJudged = true): string {
  let ended = "ran";
  const main = function* (_world: World, host: SimulatedHost): Polls<void> {
    const file = new SimulatedFile(PATH);
    file.write(0, bytes);
    host.disk.files.set(PATH, file);
    const prng = new Prng(seed, 4);
    try {
      const node = yield* fileOpen({ nodeName: "", path: PATH });
      const bs = yield* qcow2Open({ nodeName: "", file: node });
      const blk = yield* blkNewWithBs(bs);
      const buffer = hostAllocate(DISK_BYTES);
      const length = Math.min(DISK_BYTES, bs.totalBytes);
      const read = yield* inCoroutine(() => blkCoPreadv(blk, 0, length, { buffer, start: 0 }));
      if (read < 0) ended = `read ${read}`;
      for (let i = 0; i < 6 && length > 20_000; i++) {
        const qiov = { buffer: bufferWith(new Uint8Array(9000).fill(i)), start: 0 };
        const offset = prng.below(length - 9000);
        yield* inCoroutine(() => blkCoPwritev(blk, offset, 9000, qiov));
        yield* inCoroutine(() => blkCoPdiscard(blk, prng.below(length - 9000), 9000));
      }
      yield* inCoroutine(() => blkCoFlush(blk));
      const result = { corruptions: 0, leaks: 0 } as BdrvCheckResult;
      yield* inCoroutine(() => bdrvCoCheck(bs, result, 3));
      yield* blkUnref(blk);
      yield* bdrvUnref(bs);
    } catch (error) {
      if (!(error instanceof BlockError)) throw error;
      ended = error.message;
    }
  };
  runSimulatedSoundly({ seed, main, isJudged });
  return ended;
}
