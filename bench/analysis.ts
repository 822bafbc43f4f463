// Analysis is fast: events a second and peak memory from trace file to findings, at 1, 10 and 50 million events of 3 contexts
// and at 1 and 10 million of 16 to 1000; bench/analysis.md. `npm run bench -- analysis -- 1 100` takes other sizes (millions of events).
//
// Every measurement is a process of its own, so that its peak memory is its own and no other has warmed it up.

import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync, statSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { analyze } from "#analyzer";
import { type Codec, fdSource, TraceReader, TraceWriter } from "#traces";
import { WORKLOAD, WORKLOAD_HEADER, WORKLOAD_STRINGS, workload } from "./analysis/workload.ts";
import { printFigures } from "./support/print-figures.ts";

type Orders = "both" | "sanctioned";

/** What one process reports. */
interface Measured {
  readonly events: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly rssMegabytes: number;
  readonly findings: number;
}

interface Case {
  readonly name: string;
  readonly contexts: number;
  readonly codec: Codec;
  readonly orders: Orders;
}

const CASES: readonly Case[] = [
  { name: "default file, both orders", contexts: 3, codec: "deflate", orders: "both" },
  { name: "uncompressed columns, one order", contexts: 3, codec: "none", orders: "sanctioned" },
  { name: "uncompressed, plain, one order", contexts: 3, codec: "plain", orders: "sanctioned" },
  ...[16, 64, 500, 1000].flatMap((contexts): Case[] => [
    { name: `${contexts} contexts, default, both`, contexts, codec: "deflate", orders: "both" },
    { name: `${contexts} contexts, plain, one`, contexts, codec: "plain", orders: "sanctioned" },
  ]),
];

const [mode, ...rest] = process.argv.slice(2).filter((arg) => arg !== "--json");
if (mode === "--one") measureOne(rest[0] ?? "", rest[1] as Orders);
else measureAll([mode, ...rest].filter((arg) => arg !== undefined).map(Number));

function measureAll(sizes: readonly number[]): void {
  const figures: Record<string, number> = {};
  const folder = mkdtempSync(join(tmpdir(), "quiesce-analysis-"));
  try {
    for (const millions of sizes.length > 0 ? sizes : [1, 10, 50]) {
      for (const { name, contexts, codec, orders } of CASES) {
        if (sizes.length === 0 && millions > 10 && contexts > 3) continue;
        const file = join(folder, `${codec}.trace`);
        writeTrace(file, codec, contexts, millions * 1e6);
        record(figures, `${millions} million events, ${name}`, file, inProcess(file, orders));
        rmSync(file);
      }
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
  printFigures("analysis", figures);
}

function writeTrace(file: string, codec: Codec, contexts: number, events: number): void {
  const fd = openSync(file, "w");
  const sink = {
    write: (bytes: Uint8Array) => void writeSync(fd, bytes),
    close: () => closeSync(fd),
  };
  const writer = new TraceWriter(WORKLOAD_HEADER, sink, { codec });
  const options = { ...WORKLOAD, contexts, events };
  for (const batch of workload(options)) writer.writeBatch(batch, WORKLOAD_STRINGS);
  writer.finish();
}

function inProcess(file: string, orders: Orders): Measured {
  const self = fileURLToPath(import.meta.url);
  const child = spawnSync(process.execPath, [self, "--one", file, orders], { encoding: "utf8" });
  if (child.status !== 0) throw new Error(child.stderr);
  return JSON.parse(child.stdout) as Measured;
}

function measureOne(file: string, orders: Orders): void {
  const fd = openSync(file, "r");
  const from = process.hrtime.bigint();
  const cpu = process.cpuUsage();
  const reader = TraceReader.open(fdSource(fd));
  const result = analyze(
    { batches: reader.batchesAhead(), sites: reader.header.sites, strings: reader.strings },
    { orders },
  );
  const { user, system } = process.cpuUsage(cpu);
  const measured: Measured = {
    events: result.events,
    seconds: Number(process.hrtime.bigint() - from) / 1e9,
    cpuSeconds: (user + system) / 1e6,
    rssMegabytes: process.resourceUsage().maxRSS / 1024,
    findings: result.findings.length,
  };
  closeSync(fd);
  process.stdout.write(JSON.stringify(measured));
}

function record(
  figures: Record<string, number>,
  name: string,
  file: string,
  measured: Measured,
): void {
  if (measured.findings > 0) throw new Error("the workload is lawful");
  figures[`${name}: million events a second`] = measured.events / measured.seconds / 1e6;
  figures[`${name}: million events a processor second`] =
    measured.events / measured.cpuSeconds / 1e6;
  figures[`${name}: peak memory, MB`] = measured.rssMegabytes;
  figures[`${name}: bytes an event`] = statSync(file).size / measured.events;
}
