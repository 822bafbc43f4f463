// quiesce daemon: a storage daemon with the options of qemu-storage-daemon, recorded when asked.

import { closeSync, existsSync, mkdirSync, openSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { QuiesceError } from "#core/base";
import { NullProbe } from "#core/probe";
import { type DaemonOption, LiveHost, parseKeyval, runLive, veiledOption } from "#daemon";
import { headerOf, prepareRun, schedulerNamed } from "#explorer";
import { FileSink, Recorder } from "#tracer";
import { FORMAT_VERSION } from "#traces";
import { daemonParams, daemonScenario } from "./daemon-scenario.ts";
import { ExitCode } from "./exit-codes.ts";
import type { Terminal } from "./terminal.ts";
import { quiesceVersion } from "./version.ts";

/** One option of the command line, in the order that it was given. */
export interface GivenOption {
  readonly name: DaemonOption["name"];
  readonly text: string;
}

export interface DaemonVerbOptions {
  readonly given: readonly GivenOption[];
  readonly pidfile?: string;
  /** Folder for the recording. */
  readonly record?: string;
  readonly level: "inputs" | "full";
}

/** Keys that the first part of an option may leave out. */
const IMPLIED: Readonly<Record<DaemonOption["name"], string | null>> = {
  blockdev: "driver",
  chardev: "backend",
  export: "type",
  monitor: "chardev",
  "nbd-server": null,
  object: "qom-type",
};

/** Run until QMP's `quit`, SIGTERM or SIGINT. */
export async function daemon(options: DaemonVerbOptions, terminal: Terminal): Promise<number> {
  const parsed = options.given.map(({ name, text }) => parsedOption(name, text));
  const epochNs = Date.now() * 1_000_000;
  const host = new LiveHost({ aio: "auto" });
  const signals = new QuitSignals(host);
  const onReady = (quitHandler: number) => {
    signals.listen(quitHandler);
    // Whoever waits for this file may connect.
    if (options.pidfile !== undefined) writeFileSync(options.pidfile, `${process.pid}\n`);
  };
  const print = (line: string) => void terminal.stdout.write(`${line}\n`);
  const scenario = daemonScenario({ onReady, print });
  const run = { seed: 0, params: daemonParams(parsed, epochNs) };
  // What is written down has no secrets. The run cannot tell: it never looks at one.
  const written = { seed: 0, params: daemonParams(parsed.map(veiledOption), epochNs) };
  const recording =
    options.record === undefined ? null : startRecording(options, scenario, written);
  try {
    const machine = prepareRun(scenario, run, {
      host,
      clients: host,
      scheduler: schedulerNamed("default", 0),
      probe: recording?.recorder ?? new NullProbe(),
    });
    const outcome = await runLive(machine);
    if (outcome === "ok") return ExitCode.ok;
    terminal.stderr.write(
      `quiesce: the daemon ended in ${outcome}: ${machine.assertion?.message ?? ""}\n`,
    );
    return ExitCode.internal;
  } finally {
    signals.stop();
    recording?.close();
    if (options.pidfile !== undefined) rmSync(options.pidfile, { force: true });
  }
}

function parsedOption(name: DaemonOption["name"], text: string): DaemonOption {
  try {
    return { name, ...parseKeyval(text, IMPLIED[name]) };
  } catch (error) {
    if (!(error instanceof QuiesceError)) throw error;
    const veiled = text.replace(/\b(data=)[^,]*|("data"\s*:\s*)"[^"]*"/g, "$1$2");
    throw new QuiesceError("usage", `--${name} ${veiled}: ${error.message}`);
  }
}

/** SIGTERM and SIGINT end the daemon as `quit` does; a second one ends the process. */
class QuitSignals {
  readonly #host: LiveHost;
  #listener: (() => void) | null = null;

  constructor(host: LiveHost) {
    this.#host = host;
  }

  listen(quitHandler: number): void {
    this.#listener = () => this.#host.kick(quitHandler, 0);
    for (const name of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.once(name, this.#listener);
  }

  stop(): void {
    if (this.#listener === null) return;
    for (const name of ["SIGTERM", "SIGINT", "SIGHUP"] as const)
      process.removeListener(name, this.#listener);
  }
}

interface Recording {
  readonly recorder: Recorder;
  close(): void;
}

/** A trace in the folder, with a name that is not taken. */
function startRecording(
  { record = ".", level }: DaemonVerbOptions,
  scenario: ReturnType<typeof daemonScenario>,
  run: Parameters<typeof headerOf>[1],
): Recording {
  mkdirSync(record, { recursive: true });
  const fd = openSync(freeName(record), "wx+");
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
  const recorder = new Recorder(new FileSink(fd, header), { level });
  return {
    recorder,
    close() {
      try {
        recorder.close();
      } finally {
        closeSync(fd);
      }
    },
  };
}

function freeName(folder: string): string {
  for (let number = 1; ; number++) {
    const path = join(folder, `daemon-${process.pid}-${number}.trace`);
    if (!existsSync(path)) return path;
  }
}
