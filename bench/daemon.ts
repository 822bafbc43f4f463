// How fast the daemon serves, against QEMU's servers: bench/daemon.md. `npm run bench -- daemon -- --json` prints the
// figures as they are stored.

import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { recordingsIn, soundnessOfDaemon } from "#tests/record-replay";
import { type ClientName, canDo, type Order, runClient } from "./daemon/clients.ts";
import { SERVERS, type Server, type ServerName, startServer } from "./daemon/servers.ts";
import type { Figures } from "./recording/measure.ts";

const KIB = 1024;
const IMAGE_BYTES = 128 * KIB * KIB;

/** A single copy of the image is too short for a server's code to be compiled in the round that is not counted. */
const NBDCOPY_COPIES = 5;

/** Above it a client has hardly any time left: it is what the row measures. */
const BUSY_MAX = 0.85;

/** One line of the table. */
interface Row extends Omit<Order, "socket" | "imageBytes" | "prefix"> {
  readonly title: string;
}

const SMALL = { bytes: 4 * KIB, sequential: false };
const LARGE = { bytes: 64 * KIB, sequential: true, depth: 8, requests: 4_000 };
const ROWS: readonly Row[] = [
  ...[1, 4].flatMap((connections) => [
    row("own", { ...SMALL, write: false, depth: 1, connections, requests: 10_000 }),
    row("own", { ...SMALL, write: false, depth: 32, connections, requests: 40_000 }),
    row("own", { ...SMALL, write: true, depth: 1, connections, requests: 10_000 }),
    row("own", { ...SMALL, write: true, depth: 32, connections, requests: 20_000 }),
    row("own", { ...LARGE, write: false, connections }),
    row("own", { ...LARGE, write: true, connections }),
  ]),
  row("fio", { ...SMALL, write: false, depth: 1, connections: 1, requests: 10_000 }),
  row("fio", { ...SMALL, write: false, depth: 32, connections: 1, requests: 30_000 }),
  row("fio", { ...SMALL, write: false, depth: 32, connections: 4, requests: 30_000 }),
  row("fio", { ...SMALL, write: true, depth: 32, connections: 1, requests: 20_000 }),
  ...[false, true].map((write) =>
    row("qemu-img bench", {
      ...{ bytes: 4 * KIB, sequential: true, write, depth: 32 },
      ...{ connections: 1, requests: 30_000 },
    }),
  ),
  ...[1, 4].map((connections) =>
    row("nbdcopy", {
      ...{ bytes: 256 * KIB, sequential: true, write: false, depth: 64 },
      ...{ connections, requests: NBDCOPY_COPIES * (IMAGE_BYTES / (256 * KIB)) },
    }),
  ),
];

function row(client: ClientName, load: Omit<Row, "title" | "client">): Row {
  const { bytes, sequential, write, depth, connections } = load;
  if (!canDo(client, load)) throw new Error(`${client} cannot do that`);
  const what = `${bytes / KIB}k ${sequential ? "sequential" : "random"} ${write ? "writes" : "reads"}`;
  const by = client === "own" ? "" : `${client}: `;
  return { client, ...load, title: `${by}${what}, QD ${depth}, ${connections} conn` };
}

/** What one server did in one round of one row. */
interface Measured {
  readonly perSecond: number;
  readonly cpuUs: number;
  readonly clientBusy: number;
}

const options = optionsOf(process.argv.slice(2));
const figures: Figures = {};
const folder = mkdtempSync(join(tmpdir(), "quiesce-bench-"));
try {
  for (const format of options.formats) await measureFormat(format);
} finally {
  rmSync(folder, { recursive: true });
}
if (options.json) process.stdout.write(`${JSON.stringify(figures, null, 2)}\n`);

/** All servers at once, each with its own copy of one image; a row is measured with one after the other, in rounds. */
async function measureFormat(format: "raw" | "qcow2"): Promise<void> {
  const servers: Server[] = [];
  try {
    for (const name of options.servers) {
      const image = join(folder, `${name}.${format}`);
      if (servers.length === 0) makeImage(image, format);
      else copyFileSync(join(folder, `${servers[0]?.name}.${format}`), image);
      servers.push(
        await startServer(name, {
          folder,
          image,
          format,
          prefix: options.serverPrefix,
          ...(options.aio === "" ? {} : { aio: options.aio }),
        }),
      );
    }
    process.stdout.write(`${heading(format)}\n`);
    for (const each of ROWS.filter(({ title }) => title.includes(options.only))) {
      report(format, each, measureRow(servers, each));
    }
  } finally {
    for (const server of servers) await server.stop();
  }
  if (options.judge) for (const server of servers) judgeRecordings(format, server);
}

/** Replays what a server of ours has recorded and judges it; the process ends with 1 if it is not sound. */
function judgeRecordings(format: string, { name, traces }: Server): void {
  for (const path of existsSync(traces) ? recordingsIn(traces) : []) {
    const { events, compared, complete, problems } = soundnessOfDaemon(path);
    const isSound = complete && problems.length === 0;
    const verdict = isSound
      ? "replays identically, no finding"
      : `NOT SOUND ${problems.join("; ")}`;
    process.stdout.write(
      `${format}, ${name}: ${events} events, ${compared} of them recorded: ${verdict}\n`,
    );
    if (!isSound) process.exitCode = 1;
  }
}

function makeImage(path: string, format: string): void {
  const raw = `${path}.data`;
  execFileSync("dd", [
    "if=/dev/urandom",
    `of=${raw}`,
    "bs=1M",
    `count=${IMAGE_BYTES >> 20}`,
    "status=none",
  ]);
  execFileSync("qemu-img", ["convert", "-f", "raw", "-O", format, raw, path]);
  rmSync(raw);
}

function measureRow(servers: readonly Server[], load: Row): Map<ServerName, Measured[]> {
  const found = new Map<ServerName, Measured[]>(servers.map(({ name }) => [name, []]));
  // The first round is to warm up: a server's code for this load is compiled, its caches hold what it needs.
  for (let round = 0; round <= options.rounds; round++) {
    for (const server of servers) {
      const measured = measure(server, load);
      if (round > 0) found.get(server.name)?.push(measured);
    }
  }
  return found;
}

function measure({ socket, cpuSeconds }: Server, { title: _title, ...load }: Row): Measured {
  const before = cpuSeconds();
  const { requests, seconds, answered, busy } = runClient({
    ...{ ...load, socket, imageBytes: IMAGE_BYTES, prefix: options.clientPrefix },
    requests: Math.round((load.requests * options.scale) / 100),
  });
  const cpuUs = ((cpuSeconds() - before) / answered) * 1e6;
  return { perSecond: requests / seconds, cpuUs, clientBusy: busy };
}

// ---- The table -------------------------------------------------------------------------------------------------------

function heading(format: string): string {
  const names = options.servers.map((name) => (name as string).padStart(19)).join("");
  const against = `ratio to that of ${options.servers[0]}`;
  return `
${format}: thousand requests a second (best round), ${against}, least µs of processor time a request; c: the client was busy
${"".padEnd(52)}${names}`;
}

/** The round that others disturbed least. */
function best(rounds: readonly Measured[]): Measured {
  return rounds.reduce((found, one) => (one.perSecond > found.perSecond ? one : found));
}

function report(
  format: string,
  { title }: Row,
  found: ReadonlyMap<ServerName, readonly Measured[]>,
) {
  const first = found.get(options.servers[0] as ServerName) ?? [];
  let line = title.padEnd(52);
  for (const [name, rounds] of found) {
    const { perSecond: rate, clientBusy: busy } = best(rounds);
    const ratio = rate / best(first).perSecond;
    const cpu = Math.min(...rounds.map(({ cpuUs }) => cpuUs));
    const mark = busy > BUSY_MAX ? "c" : " ";
    line += `${(rate / 1000).toFixed(1)} ${ratio.toFixed(2)}x ${cpu.toFixed(1)}${mark}`.padStart(
      19,
    );
    const key = `${format}, ${title}, ${name}`;
    if (name === options.servers[0]) figures[`${key}: requests a second`] = Math.round(rate);
    else figures[`${key} / ${options.servers[0]}`] = Number(ratio.toFixed(2));
    figures[`${key}: µs of processor time a request`] = Number(cpu.toFixed(1));
    figures[`${key}: the client's share of a core`] = Number(busy.toFixed(2));
  }
  process.stdout.write(`${line}\n`);
}

interface Options {
  readonly formats: readonly ("raw" | "qcow2")[];
  readonly servers: readonly ServerName[];
  readonly only: string;
  readonly aio: string;
  /** Words before the command of each server, and of the client: taskset -c 0. */
  readonly serverPrefix: readonly string[];
  readonly clientPrefix: readonly string[];
  readonly rounds: number;
  /** Percent of the requests of each row. */
  readonly scale: number;
  readonly json: boolean;
  /** Afterwards, replay and judge what was recorded. */
  readonly judge: boolean;
}

/** --formats raw,qcow2 --servers qemu-nbd,inputs --only "4k random" --aio inline --rounds 5 --scale 50 --json --judge */
function optionsOf(args: readonly string[]): Options {
  const value = (name: string, byDefault: string) => {
    const at = args.indexOf(`--${name}`);
    return at < 0 ? byDefault : (args[at + 1] ?? byDefault);
  };
  return {
    formats: value("formats", "raw,qcow2").split(",") as Options["formats"],
    servers: value("servers", SERVERS.join(",")).split(",") as ServerName[],
    only: value("only", ""),
    aio: value("aio", ""),
    serverPrefix: value("server-prefix", "").split(" ").filter(Boolean),
    clientPrefix: value("client-prefix", "").split(" ").filter(Boolean),
    rounds: Number(value("rounds", "5")),
    scale: Number(value("scale", "50")),
    json: args.includes("--json"),
    judge: args.includes("--judge"),
  };
}
