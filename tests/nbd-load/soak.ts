// A soak: clients come, work and go, politely and not, for as long as is wanted, on a sparse qcow2 image of 64 GiB; what the daemon
// holds, and how long its answers take, is looked at all the time and must not grow. Afterwards all of the recording is replayed and
// judged, in bounded memory.

import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { must, Prng } from "#core/base";
import { tool } from "../nbd-peers/live-server.ts";
import { recordingsIn, type Soundness, soundnessOfDaemon } from "../record-replay/soundness.ts";
import { startProcess } from "./daemon-process.ts";
import { LoadClient } from "./load-client.ts";

const IMAGE_BYTES = 64 * 1024 ** 3;
const BLOCK_BYTES = 4096;
const CLIENTS = 4;
/** Requests of one connection, at most, and how many of them at once. */
const SESSION_REQUESTS_MAX = 400;
const DEPTH = 8;
/** The image is written here and there, in so many places, so that the host's disk does not fill. */
const PLACES = 4096;

/** One look at the daemon. */
export interface SoakSample {
  readonly seconds: number;
  /** What the system has given it: also garbage that was not collected yet, and room that was left between. */
  readonly rssMb: number;
  /** What it holds, after a collection: objects, and contents of buffers. This must not grow. */
  readonly heapMb: number;
  readonly buffersMb: number;
  readonly handles: number;
  readonly requests: number;
  readonly connections: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

export interface SoakResult {
  readonly samples: readonly SoakSample[];
  /** What came of the recording, which is replayed and judged to its end, and how long that took. */
  readonly recording: Omit<Soundness, "problems"> & {
    readonly mb: number;
    readonly seconds: number;
  };
  /** What went wrong, what grew, and what is not sound in the recording. */
  readonly problems: readonly string[];
}

/** What is counted between two looks. */
class Counts {
  requests = 0;
  connections = 0;
  latenciesUs: number[] = [];
}

/** Soak for `seconds`, with a look at the daemon every `everySeconds`. */
export async function soak(
  folder: string,
  seconds: number,
  everySeconds: number,
): Promise<SoakResult> {
  const image = join(folder, "image.qcow2");
  await tool("qemu-img", "create", "-q", "-f", "qcow2", image, String(IMAGE_BYTES));
  const daemon = await startProcess(folder, [
    ...["--object", "iothread,id=io0"],
    ...[
      "--blockdev",
      "qcow2,node-name=disk,l2-cache-size=1048576,file.driver=file,file.filename=image.qcow2",
    ],
    ...["--nbd-server", "addr.type=unix,addr.path=nbd.sock,max-connections=16"],
    ...["--export", "nbd,id=e0,node-name=disk,writable=on,iothread=io0"],
  ]);
  const counts = new Counts();
  const started = Number(process.hrtime.bigint()) / 1e9;
  const now = () => Number(process.hrtime.bigint()) / 1e9 - started;
  const problems: string[] = [];
  const workers = Array.from({ length: CLIENTS }, async (_, i) => {
    const prng = new Prng(i + 1, 7);
    while (now() < seconds) await session(join(folder, "nbd.sock"), prng, counts, problems);
  });
  const samples: SoakSample[] = [];
  const pid = must(daemon.process.pid, "the daemon runs");
  while (now() < seconds) {
    await new Promise((resolve) => setTimeout(resolve, everySeconds * 1000));
    const memory = await daemon.memory();
    samples.push({ seconds: Math.round(now()), ...usage(pid), ...memory, ...taken(counts) });
  }
  await Promise.all(workers);
  daemon.process.kill("SIGTERM");
  const ended = await daemon.ended;
  if (ended !== 0) problems.push(`the daemon ended with ${ended}: ${daemon.stderr()}`);
  const check = await tool("qemu-img", "check", image);
  if (check.status !== 0) problems.push(`qemu-img check: ${check.stdout}${check.stderr}`);
  const [trace = ""] = recordingsIn(join(folder, "traces"));
  const before = now();
  const { problems: unsound, ...soundness } = soundnessOfDaemon(trace);
  if (!soundness.complete) problems.push("the recording breaks off");
  const mb = Math.round(statSync(trace).size / 1e5) / 10;
  const recording = { ...soundness, mb, seconds: Math.round(now() - before) };
  problems.push(...unsound.map((problem) => `recording: ${problem}`));
  return { samples, recording, problems: [...problems, ...growthOf(samples)] };
}

/** One connection: some requests, several at once; then goodbye, or nothing. */
async function session(
  socket: string,
  prng: Prng,
  counts: Counts,
  problems: string[],
): Promise<void> {
  const client = await LoadClient.open(socket, "disk");
  counts.connections++;
  let left = 1 + prng.below(SESSION_REQUESTS_MAX);
  const lanes = Array.from({ length: DEPTH }, async () => {
    while (left-- > 0) {
      const before = process.hrtime.bigint();
      await request(client, prng);
      counts.latenciesUs.push(Number(process.hrtime.bigint() - before) / 1000);
      counts.requests++;
    }
  });
  try {
    await Promise.all(lanes);
  } catch (error) {
    problems.push(String(error));
  }
  client.close({ rudely: prng.chance(1, 3) });
}

async function request(client: LoadClient, prng: Prng): Promise<void> {
  // Places are spread over all of the image: its tables do not fit into the cache.
  const place = prng.below(PLACES);
  const from = Math.floor((place * IMAGE_BYTES) / PLACES / BLOCK_BYTES) * BLOCK_BYTES;
  const kind = prng.below(20);
  if (kind < 10) await client.read(from, BLOCK_BYTES);
  else if (kind < 17) await client.write(from, Buffer.alloc(BLOCK_BYTES, place), kind === 10);
  else if (kind < 19) await client.zero(from, BLOCK_BYTES);
  else await client.flush();
}

function usage(pid: number): { readonly rssMb: number; readonly handles: number } {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const kilobytes = Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0);
  return { rssMb: Math.round(kilobytes / 1024), handles: readdirSync(`/proc/${pid}/fd`).length };
}

function taken(counts: Counts): Omit<SoakSample, "seconds" | "handles" | `${string}Mb`> {
  const latencies = counts.latenciesUs.sort((a, b) => a - b);
  const at = (share: number) => Math.round(latencies[Math.floor(latencies.length * share)] ?? 0);
  const { requests, connections } = counts;
  const sample = { requests, connections, p50Us: at(0.5), p99Us: at(0.99) };
  counts.requests = 0;
  counts.connections = 0;
  counts.latenciesUs = [];
  return sample;
}

/**
 * What grew from the second quarter to the last one, by more than a machine with other things to do explains. What the daemon holds is
 * its own business alone: 0.3 MB in 300 s are 200 bytes for each connection, or a byte for each of 300,000 requests. The system's
 * view of it moves with the moment of the last collection.
 */
export function growthOf(samples: readonly SoakSample[]): string[] {
  const quarter = Math.floor(samples.length / 4);
  if (quarter === 0) return ["there are too few samples to say that nothing grows"];
  const early = samples.slice(quarter, 2 * quarter);
  const late = samples.slice(-quarter);
  const median = (of: readonly SoakSample[], key: keyof SoakSample) =>
    of.map((one) => one[key]).sort((a, b) => a - b)[Math.floor(of.length / 2)] ?? 0;
  const limits = [
    ["heapMb", 1, 0.3],
    ["buffersMb", 1, 0.3],
    ["rssMb", 1.15, 20],
    ["handles", 1, 8],
    ["p50Us", 2, 500],
    ["p99Us", 3, 20_000],
  ] as const;
  return limits.flatMap(([key, factor, more]) => {
    const [before, after] = [median(early, key), median(late, key)];
    return after > before * factor + more ? [`${key} grew from ${before} to ${after}`] : [];
  });
}
