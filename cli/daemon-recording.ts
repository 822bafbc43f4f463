// The recording of a daemon, which may run for months and end by a crash.
//
// What was recorded goes to the file every SYNC_MS, however little it is, so that a crash loses no more than that. Or nothing
// goes to a file: with a ring, the last events are kept in memory, and written when somebody asks (SIGUSR1) or when the run has
// failed. A ring lacks the beginning of its run: it is analysed, not replayed, and so it has all events.

import { closeSync, existsSync, openSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join, resolve } from "node:path";
import { QuiesceError } from "#core/base";
import { headerOf } from "#explorer";
import { FileSink, Recorder, RingSink } from "#tracer";
import { FORMAT_VERSION, MemoryBytes, type TraceHeader } from "#traces";
import type { daemonScenario } from "./daemon-scenario.ts";
import { makeFolder } from "./output-file.ts";
import { quiesceVersion } from "./version.ts";

/** At most so long an event waits until it is in the file. */
const SYNC_MS = 1000;

/** What is recorded, and where to. */
export interface RecordingOptions {
  readonly folder: string;
  readonly level: "inputs" | "full";
  /** Events that a ring keeps; undefined for a file. */
  readonly ring?: number;
  /** Called once when the file takes no more: the daemon goes on, and nothing more is recorded. */
  readonly onStopped: (why: string) => void;
}

/** A recording under way. */
export interface Recording {
  readonly recorder: Recorder;
  /** Write what there is, now; the file that has it. Throws QuiesceError("input") or the system's error when it cannot. */
  write(): string;
  close(): void;
}

/** Begin to record the run of `scenario`. */
export function startRecording(
  options: RecordingOptions,
  scenario: ReturnType<typeof daemonScenario>,
  run: Parameters<typeof headerOf>[1],
): Recording {
  // A daemon changes its folder.
  const folder = resolve(options.folder);
  makeFolder("--record", folder);
  const level = options.ring === undefined ? options.level : "full";
  const header = headerOf(scenario, run, {
    host: "live",
    level,
    coreVersion: quiesceVersion(),
    formatVersion: FORMAT_VERSION,
    provenance: {
      createdAt: new Date().toISOString(),
      host: hostname(),
      node: process.versions.node,
      quiesce: quiesceVersion(),
    },
  });
  return options.ring === undefined
    ? recordToFile(folder, header, options)
    : recordToRing(folder, header, options.ring);
}

function recordToFile(
  folder: string,
  header: TraceHeader,
  { level, onStopped }: RecordingOptions,
): Recording {
  const path = freeName(folder, "daemon");
  const fd = openSync(path, "wx+");
  const sink = new FileSink(fd, header);
  const recorder = new Recorder(sink, { level });
  const stopped = `${path} cannot be written any more, so the recording has ended`;
  const timer = setInterval(() => {
    recorder.sync();
    if (!sink.failed) return;
    clearInterval(timer);
    onStopped(stopped);
  }, SYNC_MS);
  return {
    recorder,
    write() {
      recorder.sync();
      if (sink.failed) throw new QuiesceError("input", stopped);
      return path;
    },
    close() {
      clearInterval(timer);
      try {
        recorder.close();
      } finally {
        closeSync(fd);
      }
    },
  };
}

function recordToRing(folder: string, header: TraceHeader, events: number): Recording {
  const ring = new RingSink(events);
  const recorder = new Recorder(ring, { level: "full" });
  return {
    recorder,
    write() {
      recorder.flush();
      const bytes = new MemoryBytes();
      ring.dump(header, bytes);
      const path = freeName(folder, "ring");
      try {
        writeFileSync(path, bytes.bytes(), { flag: "wx" });
      } catch (error) {
        // Half of a ring is of no use to anybody.
        rmSync(path, { force: true });
        throw error;
      }
      return path;
    },
    close: () => recorder.close(),
  };
}

function freeName(folder: string, what: string): string {
  for (let number = 1; ; number++) {
    const path = join(folder, `${what}-${process.pid}-${number}.trace`);
    if (!existsSync(path)) return path;
  }
}
