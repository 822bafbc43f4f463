// Analysis is fast: events a second, what one event costs, and peak memory from trace file to findings, at 1, 10 and 100 million
// events; bench/analysis.md. `npm run bench -- analysis -- 1 10` takes other sizes (millions of events), and a word after them only
// the rows whose names have it: `-- 10 everything`.
//
// Every measurement is a process of its own, so that its peak memory is its own and no other has warmed it up. Rows of one core
// are pinned to one and read the file in the thread that judges it; the compiler and the collector share that core with it.

import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync, statSync, writeSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type AnalyzeOptions, analyze, keepHeapSmall, POLICY_IDS } from "#analyzer";
import { type Codec, fdSource, TraceReader, TraceWriter } from "#traces";
import { WORKLOAD, WORKLOAD_HEADER, WORKLOAD_STRINGS, workload } from "./analysis/workload.ts";
import { printFigures } from "./support/print-figures.ts";

/** What is asked of the analysis; "everything" is both orders, both readings, all rules and policies, and what drains cost. */
const WORK: Readonly<Record<"one" | "both" | "everything", AnalyzeOptions>> = {
  one: { orders: "sanctioned" },
  both: {},
  everything: { reading: "both", policies: POLICY_IDS, drains: true },
};
type Work = keyof typeof WORK;

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
  readonly work: Work;
  readonly cores: "one core" | "two cores";
  /** Larger runs take too long by default. */
  readonly millionsMax: number;
}

const CASES: readonly Case[] = [
  ...(
    [
      { name: "default file, both orders", codec: "deflate", work: "both" },
      { name: "uncompressed columns, one order", codec: "none", work: "one" },
      { name: "uncompressed, plain, one order", codec: "plain", work: "one" },
    ] as const
  ).map((row): Case => ({ ...row, contexts: 3, cores: "two cores", millionsMax: 10 })),
  ...[16, 64, 500, 1000].flatMap((contexts): Case[] => [
    {
      name: "plain, one order",
      contexts,
      codec: "plain",
      work: "one",
      cores: "one core",
      millionsMax: 100,
    },
    {
      name: "default, both orders",
      contexts,
      codec: "deflate",
      work: "both",
      cores: "one core",
      millionsMax: 10,
    },
  ]),
  ...[16, 64, 500].map(
    (contexts): Case => ({
      name: "default, everything",
      contexts,
      codec: "deflate",
      work: "everything",
      cores: "one core",
      millionsMax: 10,
    }),
  ),
];
const SIZES = [1, 10, 100];

const [mode, ...rest] = process.argv.slice(2).filter((arg) => arg !== "--json");
if (mode === "--one") measureOne(rest[0] ?? "", rest[1] as Work, rest[2] as Case["cores"]);
else {
  const asked = [mode, ...rest].filter((arg) => arg !== undefined);
  const sizes = asked.map(Number).filter((size) => !Number.isNaN(size));
  measureAll(sizes, asked.find((arg) => Number.isNaN(Number(arg))) ?? "");
}

function measureAll(asked: readonly number[], word: string): void {
  const figures: Record<string, number> = {};
  const folder = mkdtempSync(join(tmpdir(), "quiesce-analysis-"));
  try {
    for (const millions of asked.length > 0 ? asked : SIZES) {
      for (const row of CASES) {
        const { name, contexts, codec, work, cores, millionsMax } = row;
        const title = `${millions} million events, ${contexts} contexts, ${name}, ${cores}`;
        if (!title.includes(word) || (asked.length === 0 && millions > millionsMax)) continue;
        const file = join(folder, `${codec}.trace`);
        writeTrace(file, codec, contexts, millions * 1e6);
        record(figures, title, file, inProcess(file, work, cores));
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

/** What pins a process to the last core; nothing where that cannot be done. */
function pin(): string[] {
  const canPin = spawnSync("taskset", ["--version"]).status === 0;
  return canPin ? ["taskset", "-c", String(cpus().length - 1)] : [];
}

function inProcess(file: string, work: Work, cores: Case["cores"]): Measured {
  const self = fileURLToPath(import.meta.url);
  const command = [process.execPath, self, "--one", file, work, cores];
  const [program = "", ...args] = cores === "one core" ? [...pin(), ...command] : command;
  const child = spawnSync(program, args, { encoding: "utf8" });
  if (child.status !== 0) throw new Error(child.stderr);
  return JSON.parse(child.stdout) as Measured;
}

function measureOne(file: string, work: Work, cores: Case["cores"]): void {
  // As `quiesce races` does.
  keepHeapSmall();
  const fd = openSync(file, "r");
  const from = process.hrtime.bigint();
  const cpu = process.cpuUsage();
  const reader = TraceReader.open(fdSource(fd));
  const again = () => (cores === "one core" ? reader.batches() : reader.batchesAhead());
  const result = analyze(
    {
      batches: again(),
      again,
      sites: reader.header.sites,
      strings: reader.strings,
    },
    WORK[work],
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
  figures[`${name}: ns an event`] = (measured.seconds / measured.events) * 1e9;
  figures[`${name}: peak memory, MB`] = measured.rssMegabytes;
  figures[`${name}: bytes an event`] = statSync(file).size / measured.events;
}
