// quiesce daemon: a storage daemon with the options of qemu-storage-daemon, recorded when asked.

import { QuiesceError } from "#core/base";
import { NullProbe } from "#core/probe";
import {
  type DaemonOption,
  isJsonObject,
  jsonText,
  LiveHost,
  type Polling,
  parseKeyval,
  runLive,
  veiledOption,
} from "#daemon";
import { prepareRun, schedulerNamed } from "#explorer";
import { DaemonLog, type LogFields, type LogOptions } from "./daemon-log.ts";
import {
  DaemonSignals,
  daemonize,
  isInBackground,
  leaveForeground,
  listenFdOf,
  notifySupervisor,
  Pidfile,
} from "./daemon-process.ts";
import { type Recording, startRecording } from "./daemon-recording.ts";
import { daemonParams, daemonScenario } from "./daemon-scenario.ts";
import { ExitCode, endingOf } from "./exit-codes.ts";
import type { Terminal } from "./terminal.ts";
import { quiesceVersion } from "./version.ts";

/** One option of the command line, in the order that it was given. */
export interface GivenOption {
  readonly name: DaemonOption["name"];
  readonly text: string;
}

export interface DaemonVerbOptions extends LogOptions {
  readonly given: readonly GivenOption[];
  readonly pidfile?: string;
  readonly daemonize?: boolean;
  /** Folder for the recording. */
  readonly record?: string;
  readonly level?: "inputs" | "full";
  /** Keep at least so many events in memory instead of writing all to a file. */
  readonly ring?: number;
  /** How long the process looks for work before it sleeps, in ns at most. */
  readonly pollMaxNs?: number;
}

/**
 * How long it looks for work before it sleeps where nobody says it, in ns: somewhat longer than a client on the same machine takes that
 * sends its next request when it has an answer.
 */
const POLL_MAX_NS = 200_000;

/** Keys that the first part of an option may leave out. */
const IMPLIED: Readonly<Record<DaemonOption["name"], string | null>> = {
  blockdev: "driver",
  chardev: "backend",
  drive: "file",
  export: "type",
  monitor: "chardev",
  "nbd-server": null,
  object: "qom-type",
};

/** Run until QMP's `quit`, SIGTERM or SIGINT. */
export async function daemon(options: DaemonVerbOptions, terminal: Terminal): Promise<number> {
  refuseUnrecorded(options);
  if (options.daemonize === true && !isInBackground()) return await daemonize(terminal);
  const parsed = options.given.map(({ name, text }) => parsedOption(name, text));
  return await new DaemonRun(options, terminal).run(parsed);
}

function refuseUnrecorded({ record, level, ring }: DaemonVerbOptions): void {
  const option = ring !== undefined ? "--ring" : level !== undefined ? "--level" : null;
  if (option !== null && record === undefined)
    throw new QuiesceError("usage", `${option} is for a recording: say --record DIR, too.`);
  if (ring !== undefined && level === "inputs")
    throw new QuiesceError("usage", "--ring keeps all events: leave --level inputs out.");
}

/** One daemon in this process, and all that it has outside of the machine. */
class DaemonRun {
  readonly #options: DaemonVerbOptions;
  readonly #terminal: Terminal;
  readonly #log: DaemonLog;
  readonly #host: LiveHost;
  readonly #signals: DaemonSignals;
  #recording: Recording | null = null;
  #pidfile: Pidfile | null = null;
  /** The run ends at an assertion, for a reason that is on standard error already. */
  #hasSaidWhy = false;
  /** Why it was never ready. */
  #refusal: QuiesceError | null = null;

  constructor(options: DaemonVerbOptions, terminal: Terminal) {
    this.#options = options;
    this.#terminal = terminal;
    this.#host = new LiveHost({ aio: "auto", pollMaxNs: options.pollMaxNs ?? POLL_MAX_NS });
    // In the background nobody reads standard error.
    this.#log = new DaemonLog(options, isInBackground() ? null : terminal.stderr);
    this.#signals = new DaemonSignals(this.#host, () => this.#writeRecording());
  }

  async run(parsed: readonly DaemonOption[]): Promise<number> {
    const { record, ring, level = "inputs" } = this.#options;
    const epochNs = Date.now() * 1_000_000;
    const scenario = daemonScenario({
      onReady: (quitHandler) => this.#isReady(quitHandler),
      onRefused: (refusal) => {
        this.#refusal = refusal;
      },
      onStopping: () => this.#isStopping(),
      print: (line) => void this.#terminal.stdout.write(`${line}\n`),
      warn: (line) => this.#log.warn(line),
      fatal: (line) => this.#isOver(line),
      onPolling: (polling) => this.#poll(polling),
      onEvent: (event, data) => this.#log.event(event, JSON.parse(jsonText(data)) as LogFields),
    });
    const run = { seed: 0, params: daemonParams(parsed, epochNs) };
    // What is written down has no secrets. The run cannot tell: it never looks at one.
    const written = { seed: 0, params: daemonParams(parsed.map(veiledOption), epochNs) };
    if (record !== undefined) {
      const onStopped = (why: string) => this.#log.error(why);
      const how = { folder: record, level, onStopped, ...(ring === undefined ? {} : { ring }) };
      this.#recording = startRecording(how, scenario, written);
    }
    try {
      const code = await this.#runMachine(scenario, run);
      if (this.#refusal !== null) throw this.#refusal;
      return code;
    } finally {
      this.#signals.stop();
      this.#recording?.close();
      this.#pidfile?.remove();
      if (this.#refusal === null) this.#log.info("ended");
    }
  }

  async #runMachine(
    scenario: ReturnType<typeof daemonScenario>,
    run: Parameters<typeof prepareRun>[1],
  ): Promise<number> {
    const machine = prepareRun(scenario, run, {
      host: this.#host,
      clients: this.#host,
      scheduler: schedulerNamed("default", 0),
      probe: this.#recording?.recorder ?? new NullProbe(),
    });
    const outcome = await runLive(machine);
    if (outcome === "ok") return ExitCode.ok;
    if (this.#hasSaidWhy) return ExitCode.findings;
    const why = `the daemon ended in ${outcome}: ${machine.assertion?.message ?? ""}`;
    this.#log.error(why);
    this.#terminal.stderr.write(`quiesce: ${why}\n`);
    // What led there is worth more than all that went before.
    if (this.#options.ring !== undefined) this.#writeRecording();
    return ExitCode.internal;
  }

  /** A driver ends the process, as blkverify does at a difference: it is what it was told to look for. */
  #isOver(line: string): void {
    this.#hasSaidWhy = true;
    this.#terminal.stderr.write(`${line}\n`);
    if (this.#options.ring !== undefined) this.#writeRecording();
  }

  /** The command line says how long at least. */
  #poll({ maxNs, grow, shrink }: Polling): void {
    const { pollMaxNs = POLL_MAX_NS } = this.#options;
    if (maxNs > pollMaxNs) this.#host.setPolling(maxNs, grow, shrink);
    else this.#host.setPolling(pollMaxNs, 0, 0);
  }

  #isReady(quitHandler: number): void {
    const { pidfile } = this.#options;
    this.#signals.listen(quitHandler);
    // Whoever waits for this file may connect.
    if (pidfile !== undefined) this.#pidfile = new Pidfile(pidfile);
    if (isInBackground()) leaveForeground();
    void notifySupervisor("READY=1");
    this.#log.info("ready", { version: quiesceVersion() });
  }

  #isStopping(): void {
    this.#host.expectOutside(false);
    void notifySupervisor("STOPPING=1");
    this.#log.info("stopping");
  }

  #writeRecording(): void {
    if (this.#recording === null) {
      this.#log.warn("there is nothing to write: the daemon was started without --record");
      return;
    }
    try {
      this.#log.info("recording written", { file: this.#recording.write() });
    } catch (error) {
      // A disk that is full is no reason to end.
      this.#log.error(endingOf(error).text.trim());
    }
  }
}

function parsedOption(name: DaemonOption["name"], text: string): DaemonOption {
  try {
    const { value, isText } = parseKeyval(text, IMPLIED[name]);
    return { name, value: name === "nbd-server" ? withDescriptor(value) : value, isText };
  } catch (error) {
    if (!(error instanceof QuiesceError)) throw error;
    const veiled = text.replace(/\b(data=)[^,]*|("data"\s*:\s*)"[^"]*"/g, "$1$2");
    throw new QuiesceError("usage", `--${name} ${veiled}: ${error.message}`);
  }
}

/** `addr.type=fd`: a socket that was handed over can be said by its name. */
function withDescriptor(value: DaemonOption["value"]): DaemonOption["value"] {
  const addr = value.get("addr");
  if (!isJsonObject(addr) || addr.get("type") !== "fd") return value;
  const text = addr.get("str");
  if (typeof text !== "string") return value;
  return new Map([...value, ["addr", new Map([...addr, ["str", listenFdOf(text)]])]]);
}
