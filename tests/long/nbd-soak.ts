// A soak of the daemon: clients that come and go on a sparse image of 64 GiB with 1 MiB of cache; memory, handles and latencies flat.

import { rmSync } from "node:fs";
import { soak } from "../nbd-load/soak.ts";
import { newFolder } from "../nbd-peers/live-server.ts";

export const title =
  "Soak of the daemon: clients come and go, memory, handles and latencies stay flat; then all of the recording is replayed and judged (10 min, and as long again).";

const SECONDS = 600;
const SAMPLES = 40;

/** Arguments: for how many seconds. */
export async function run(
  say: (line: string) => void,
  args: readonly string[],
): Promise<{ passed: boolean; [figure: string]: unknown }> {
  const seconds = Number(args[0] ?? SECONDS);
  const folder = newFolder();
  const { samples, recording, problems } = await soak(folder, seconds, seconds / SAMPLES);
  rmSync(folder, { recursive: true, force: true });
  const requests = samples.reduce((sum, one) => sum + one.requests, 0);
  const connections = samples.reduce((sum, one) => sum + one.connections, 0);
  for (const problem of problems) say(problem);
  say(`${requests} requests of ${connections} connections, ${problems.length} problems`);
  say(
    `the recording: ${recording.mb} MB, ${recording.events} events replayed and judged in ${recording.seconds} s`,
  );
  return { passed: problems.length === 0, requests, connections, recording, samples, problems };
}
