// Foreign traces are fast: events a second and peak memory from a file in RAPID's forms to the figures, at 1, 10 and 100 million
// events; bench/std.md. `npm run bench -- std -- 1 10` takes other sizes (millions of events).
//
// Every measurement is a process of its own, so that its peak memory is its own and no other has warmed it up.

import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync, statSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { analyzeFlat, type FlatOrder } from "#analyzer/flat";
import { fdSource } from "#traces";
import { RapidBinReader, rapidBinEvents, rapidBinHeader, StdReader, stdLines } from "#traces/std";
import { stdWorkload } from "./std/workload.ts";
import { printFigures } from "./support/print-figures.ts";

type Form = "text" | "binary";

/** What one process reports. */
interface Measured {
  readonly events: number;
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly rssMegabytes: number;
  readonly racyEvents: number;
}

/** Threads, and up to how many million events by default: the larger sizes show that cost is linear, once. */
const WORKLOADS = [
  { threads: 16, locks: 64, millionsMax: 100 },
  { threads: 64, locks: 64, millionsMax: 10 },
  { threads: 1000, locks: 256, millionsMax: 10 },
] as const;
const SIZES = [1, 10, 100];

const [mode, ...rest] = process.argv.slice(2).filter((arg) => arg !== "--json");
if (mode === "--one") measureOne(rest[0] ?? "", rest[1] as Form, rest[2] as FlatOrder);
else measureAll([mode, ...rest].filter((arg) => arg !== undefined).map(Number));

function measureAll(asked: readonly number[]): void {
  const figures: Record<string, number> = {};
  const folder = mkdtempSync(join(tmpdir(), "quiesce-std-"));
  try {
    for (const { threads, locks, millionsMax } of WORKLOADS) {
      const sizes = asked.length > 0 ? asked : SIZES.filter((size) => size <= millionsMax);
      for (const millions of sizes) {
        const files = { text: join(folder, "t.std"), binary: join(folder, "t.bin") };
        writeTraces(files, { threads, locks, events: millions * 1e6 });
        for (const form of ["text", "binary"] as const)
          for (const order of ["hb", "shb"] as const) {
            const name = `${threads} threads, ${millions} million events, ${form}, ${order}`;
            record(figures, name, inProcess(files[form], form, order));
          }
        figures[`${threads} threads, ${millions} million events: bytes an event of text`] =
          statSync(files.text).size / (millions * 1e6);
      }
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
  printFigures("std", figures);
}

function writeTraces(
  files: Readonly<Record<Form, string>>,
  size: { readonly threads: number; readonly locks: number; readonly events: number },
): void {
  const text = openSync(files.text, "w");
  const binary = openSync(files.binary, "w");
  const source = stdWorkload({ ...size, seed: 7, undisciplined: 1000 });
  writeSync(binary, rapidBinHeader(source.names, size.events));
  for (const block of source.blocks()) {
    writeSync(text, stdLines(block, source.names));
    writeSync(binary, rapidBinEvents(block));
  }
  closeSync(text);
  closeSync(binary);
}

function inProcess(file: string, form: Form, order: FlatOrder): Measured {
  const self = fileURLToPath(import.meta.url);
  const child = spawnSync(process.execPath, [self, "--one", file, form, order], {
    encoding: "utf8",
  });
  if (child.status !== 0) throw new Error(child.stderr);
  return JSON.parse(child.stdout) as Measured;
}

function measureOne(file: string, form: Form, order: FlatOrder): void {
  const fd = openSync(file, "r");
  const from = process.hrtime.bigint();
  const cpu = process.cpuUsage();
  const source = form === "text" ? new StdReader(fdSource(fd)) : new RapidBinReader(fdSource(fd));
  const { events, racyEvents } = analyzeFlat(source, { order });
  const { user, system } = process.cpuUsage(cpu);
  const measured: Measured = {
    events,
    seconds: Number(process.hrtime.bigint() - from) / 1e9,
    cpuSeconds: (user + system) / 1e6,
    rssMegabytes: process.resourceUsage().maxRSS / 1024,
    racyEvents,
  };
  closeSync(fd);
  process.stdout.write(JSON.stringify(measured));
}

function record(figures: Record<string, number>, name: string, measured: Measured): void {
  figures[`${name}: million events a second`] = measured.events / measured.seconds / 1e6;
  figures[`${name}: million events a processor second`] =
    measured.events / measured.cpuSeconds / 1e6;
  figures[`${name}: peak memory, MB`] = measured.rssMegabytes;
  figures[`${name}: racy events`] = measured.racyEvents;
}
