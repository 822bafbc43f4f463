// kill -9 of a daemon that serves a raw and a qcow2 image under load, at random moments: nothing durable is lost, and the qcow2
// image has leaks at most. Every recording is replayed and judged, as far as it goes.

import { rmSync } from "node:fs";
import { Prng } from "#core/base";
import { KillImages } from "../nbd-load/kill-run.ts";
import { haveTools, newFolder } from "../nbd-peers/live-server.ts";

export const title =
  "kill -9 of the daemon in the middle of load, 200 times, raw and qcow2; every recording is replayed and judged (about 15 min).";

const KILLS = 200;
/** Kills of the same two images before new ones are made. */
const KILLS_EACH = 20;
const QCOW2_OPTIONS = [
  "cluster_size=64k",
  "cluster_size=4k,refcount_bits=8",
  "lazy_refcounts=on",
  "extended_l2=on",
  "compat=0.10",
] as const;

/** Arguments: how many kills, the seed, for how many seconds at most. */
export async function run(
  say: (line: string) => void,
  args: readonly string[],
): Promise<{ passed: boolean; [figure: string]: unknown }> {
  if (!haveTools("qemu-img")) return { passed: false, problems: ["qemu-img is not there"] };
  const [wanted = KILLS, seed = 1, secondsMax = Number.POSITIVE_INFINITY] = args.map(Number);
  const started = process.hrtime.bigint();
  const seconds = () => Number(process.hrtime.bigint() - started) / 1e9;
  const prng = new Prng(seed);
  const problems: string[] = [];
  const sum = { kills: 0, durableWrites: 0, killsWithLeaks: 0, events: 0 };
  while (sum.kills < wanted && seconds() < secondsMax) {
    const folder = newFolder();
    const options = QCOW2_OPTIONS[Math.floor(sum.kills / KILLS_EACH) % QCOW2_OPTIONS.length];
    const images = await KillImages.create(folder, options);
    for (let i = 0; i < KILLS_EACH && sum.kills < wanted && seconds() < secondsMax; i++) {
      const result = await images.kill(prng);
      sum.kills++;
      sum.durableWrites += result.durableWrites;
      if (result.leaks > 0) sum.killsWithLeaks++;
      sum.events += result.events;
      problems.push(...result.problems.map((one) => `kill ${sum.kills}, ${options}: ${one}`));
    }
    rmSync(folder, { recursive: true, force: true });
    say(`${sum.kills} kills, ${sum.durableWrites} durable blocks, ${problems.length} problems`);
  }
  return { passed: problems.length === 0 && sum.durableWrites > 0, ...sum, problems };
}
