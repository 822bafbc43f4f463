// `quiesce races --online` beside a recorder that does not stop: the command follows a trace while this process writes it, and its
// peak memory is looked at when the run is over. A run ten times as long may not take much more.

import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, ftruncateSync, mkdtempSync, openSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { WORKLOAD, WORKLOAD_HEADER, WORKLOAD_STRINGS, workload } from "#bench/analysis";
import { Ev, EventBatch, Status } from "#core/probe";
import { TraceWriter } from "#traces";

export const title =
  "quiesce races --online follows a run of 1 and one of 10 million events in less than 250 MB, the longer one in at most a half more (about a minute).";

const EVENTS = [1_000_000, 10_000_000] as const;
const MEGABYTES_MAX = 250;
const GROWTH_MAX = 1.5;
/** Every so many edits are made without a drain, so that there is something to find, and to print, all along. */
const SLOPPY = 50;
/** From dist/tests/long, where long forms run. */
const PROGRAM = join(import.meta.dirname, "..", "..", "..", "bin", "quiesce");
/** The command says itself, when it ends, how much memory it had at most. */
const TELL_PEAK =
  'process.on("exit", () => process.stderr.write("peak " + process.resourceUsage().maxRSS + "\\n"))';

interface Followed {
  readonly events: number;
  readonly findings: number;
  readonly megabytes: number;
  readonly fileMegabytes: number;
}

/** Arguments: the numbers of events. */
export async function run(
  say: (line: string) => void,
  args: readonly string[],
): Promise<{ passed: boolean; [figure: string]: unknown }> {
  const lengths = args.length === 0 ? EVENTS : args.map(Number);
  const runs: Followed[] = [];
  for (const events of lengths) {
    const followed = await follow(events);
    say(JSON.stringify(followed));
    runs.push(followed);
  }
  const peaks = runs.map(({ megabytes }) => megabytes);
  const growth = (peaks.at(-1) ?? 0) / (peaks[0] ?? 1);
  const passed =
    runs.every(({ findings, megabytes }) => findings > 0 && megabytes < MEGABYTES_MAX) &&
    growth <= GROWTH_MAX;
  return { passed, runs, growth: Math.round(100 * growth) / 100 };
}

/** A run of `events` events is written and followed at the same time. */
async function follow(events: number): Promise<Followed> {
  const folder = mkdtempSync(join(tmpdir(), "quiesce-online-"));
  const file = join(folder, "run.trace");
  try {
    const child = spawn(
      process.execPath,
      [
        ...["--import", `data:text/javascript,${encodeURIComponent(TELL_PEAK)}`, PROGRAM],
        ...["races", "--online", file, "--idle", "60", "--fail-on", "never", "--json"],
      ],
      { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, QUIESCE_NO_BUILD: "1" } },
    );
    const said = outputsOf(child);
    const bytes = await write(file, events);
    const { stdout, stderr } = await said;
    const [, peak] = /^peak (\d+)$/m.exec(stderr) ?? [];
    const { traces } = JSON.parse(stdout) as { traces: { events: number; findings: number }[] };
    return {
      events: traces[0]?.events ?? 0,
      findings: traces[0]?.findings ?? 0,
      megabytes: Math.round(Number(peak) / 1024),
      fileMegabytes: Math.round(bytes / 1e6),
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function outputsOf(child: ChildProcess): Promise<{ stdout: string; stderr: string }> {
  const texts = { stdout: "", stderr: "" };
  child.stdout?.on("data", (chunk) => (texts.stdout += String(chunk)));
  child.stderr?.on("data", (chunk) => (texts.stderr += String(chunk)));
  await new Promise((done) => child.on("close", done));
  return texts;
}

/** Writes the run, as a recorder does; returns how large the file became. */
async function write(file: string, events: number): Promise<number> {
  const fd = openSync(file, "w");
  ftruncateSync(fd);
  const sink = { write: (bytes: Uint8Array) => void writeSync(fd, bytes), close: () => {} };
  const writer = new TraceWriter(WORKLOAD_HEADER, sink);
  for (const batch of workload({ ...WORKLOAD, contexts: 16, events, sloppy: SLOPPY })) {
    writer.writeBatch(batch, WORKLOAD_STRINGS);
    await setImmediate();
  }
  const end = new EventBatch(1);
  end.push(Ev.run_end, 0, 0, Status.ok);
  writer.writeBatch(end, WORKLOAD_STRINGS);
  const { bytes } = writer.finish();
  closeSync(fd);
  return bytes;
}
