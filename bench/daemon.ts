// How fast the daemon serves, against QEMU's servers: bench/daemon.md. `npm run bench -- daemon -- --json` prints the
// figures as they are stored.

import { execFileSync } from "node:child_process";
import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Load } from "./daemon/client.ts";
import { SERVERS, type Server, type ServerName, startServer } from "./daemon/servers.ts";
import { type Figures, median } from "./recording/measure.ts";

/** One line of the table. */
interface Row
  extends Pick<Load, "write" | "sequential" | "bytes" | "depth" | "connections" | "requests"> {
  readonly title: string;
}

const KIB = 1024;
const IMAGE_BYTES = 128 * KIB * KIB;
const ROWS: readonly Row[] = [1, 4].flatMap((connections) => [
  row("4k random reads", { bytes: 4 * KIB, depth: 1, connections, requests: 10_000 }),
  row("4k random reads", { bytes: 4 * KIB, depth: 32, connections, requests: 40_000 }),
  row("4k random writes", {
    bytes: 4 * KIB,
    depth: 32,
    connections,
    requests: 20_000,
    write: true,
  }),
  row("64k sequential reads", {
    bytes: 64 * KIB,
    depth: 8,
    connections,
    requests: 4_000,
    sequential: true,
  }),
  row("64k sequential writes", {
    bytes: 64 * KIB,
    depth: 8,
    connections,
    requests: 4_000,
    sequential: true,
    write: true,
  }),
]);

function row(what: string, load: Omit<Row, "title" | "write" | "sequential"> & Partial<Row>): Row {
  const { depth, connections } = load;
  const title = `${what}, QD ${depth}, ${connections} conn`;
  return { write: false, sequential: false, ...load, title };
}

/** What one server did in one round of one row. */
interface Measured {
  readonly perSecond: number;
  readonly cpuUs: number;
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
  for (let round = 0; round < options.rounds; round++) {
    for (const server of servers) found.get(server.name)?.push(measure(server, load));
  }
  return found;
}

function measure(server: Server, load: Row): Measured {
  const { socket } = server;
  const program = fileURLToPath(new URL("./daemon/client.js", import.meta.url));
  const before = server.cpuSeconds();
  const requests = Math.round((load.requests * options.scale) / 100);
  const order: Load = { ...load, socket, name: "bench", requests };
  const [command, ...args] = [
    ...options.clientPrefix,
    process.execPath,
    program,
    JSON.stringify(order),
  ];
  const text = execFileSync(command as string, args, { encoding: "utf8" });
  const { answered, seconds } = JSON.parse(text) as { answered: number; seconds: number };
  const cpuUs = ((server.cpuSeconds() - before) / answered) * 1e6;
  return { perSecond: requests / seconds, cpuUs };
}

// ---- The table -------------------------------------------------------------------------------------------------------

function heading(format: string): string {
  const names = options.servers.map((name) => (name as string).padStart(19)).join("");
  return `\n${format}: thousand requests a second (median), ratio to ${options.servers[0]} (median of the rounds), µs of processor time a request\n${"".padEnd(38)}${names}`;
}

function report(
  format: string,
  { title }: Row,
  found: ReadonlyMap<ServerName, readonly Measured[]>,
) {
  const first = found.get(options.servers[0] as ServerName) ?? [];
  let line = title.padEnd(38);
  for (const [name, rounds] of found) {
    const ratio = median(rounds.map(({ perSecond }, i) => perSecond / (first[i]?.perSecond ?? 1)));
    const rate = median(rounds.map(({ perSecond }) => perSecond));
    const cpu = median(rounds.map(({ cpuUs }) => cpuUs));
    line += `${(rate / 1000).toFixed(1)} ${ratio.toFixed(2)}x ${cpu.toFixed(1)}`.padStart(19);
    figures[`${format}, ${title}, ${name}: requests a second`] = Math.round(rate);
    figures[`${format}, ${title}, ${name} / ${options.servers[0]}`] = Number(ratio.toFixed(2));
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
}

/** --formats raw,qcow2 --servers qemu-nbd,inputs --only "4k random" --aio inline --rounds 3 --scale 100 --json */
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
    rounds: Number(value("rounds", "3")),
    scale: Number(value("scale", "100")),
    json: args.includes("--json"),
  };
}
