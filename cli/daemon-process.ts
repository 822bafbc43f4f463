// The daemon and the system: its pidfile, its signals, the supervisor that it tells of its state, and going into the background.
//
// Node cannot fork. So `--daemonize` starts the same command line once more, detached, waits for its word that all options are
// done, and ends; whatever goes wrong until then is said by the first process, with the exit code of the second.

import { spawn } from "node:child_process";
import {
  closeSync,
  existsSync,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { QuiesceError } from "#core/base";
import type { LiveHost } from "#daemon";
import { ExitCode } from "./exit-codes.ts";
import type { Terminal } from "./terminal.ts";

/** In the environment of the process in the background. */
const BACKGROUND = "QUIESCE_IN_BACKGROUND";
/** The first descriptor of socket activation. */
const LISTEN_FDS_START = 3;

/** Whether this is the process that `--daemonize` has started. */
export function isInBackground(): boolean {
  return process.env[BACKGROUND] === "1";
}

/** The first process of `--daemonize`: its exit code, when the second one is ready or has failed. */
export async function daemonize(terminal: Terminal): Promise<number> {
  const inherited = Array.from({ length: listenFds() }, (_, at) => LISTEN_FDS_START + at);
  const child = spawn(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {
    detached: true,
    env: { ...process.env, [BACKGROUND]: "1", LISTEN_PID: "" },
    stdio: ["ignore", "ignore", "pipe", ...inherited, "ipc"],
  });
  child.stderr?.on("data", (chunk: Buffer) => terminal.stderr.write(chunk.toString()));
  return await new Promise((resolve) => {
    // The other process goes on: nothing of it is waited for.
    child.once("message", () => process.exit(ExitCode.ok));
    child.once("close", (code) => resolve(code ?? ExitCode.internal));
  });
}

/** All options are done: whoever started this process may go. */
export function leaveForeground(): void {
  process.chdir("/");
  process.send?.("ready");
}

/** How many sockets a supervisor has handed over (sd_listen_fds): they are the descriptors from 3 on. */
export function listenFds(): number {
  const { LISTEN_PID, LISTEN_FDS } = process.env;
  if (!isInBackground() && LISTEN_PID !== String(process.pid)) return 0;
  const count = Number(LISTEN_FDS ?? 0);
  return Number.isInteger(count) && count > 0 ? count : 0;
}

/** The descriptor that `text` is: a number, or one of the names that the supervisor gave (LISTEN_FDNAMES). */
export function listenFdOf(text: string): string {
  if (/^[0-9]+$/.test(text)) return text;
  const at = (process.env.LISTEN_FDNAMES ?? "").split(":").indexOf(text);
  if (at >= 0 && at < listenFds()) return String(LISTEN_FDS_START + at);
  throw new QuiesceError("usage", `there is no socket called '${text}' among those handed over`);
}

/** sd_notify: tell the supervisor, if there is one that asks. Node has no datagram sockets of that kind: its own tool does it. */
export function notifySupervisor(state: "READY=1" | "STOPPING=1"): Promise<void> {
  if (process.env.NOTIFY_SOCKET === undefined) return Promise.resolve();
  const tool = spawn("systemd-notify", [`--pid=${process.pid}`, state], { stdio: "ignore" });
  return new Promise((resolve) => {
    // Without it the supervisor has to do without the message.
    tool.once("error", () => resolve());
    tool.once("exit", () => resolve());
  });
}

/** A file with the process id, while this is open. */
export class Pidfile {
  /** Open to the end: by that others see that the file is this process's. */
  readonly #fd: number;
  /** What is removed at the end; null of a device, which stays. */
  readonly #path: string | null;

  /** Throws a QuiesceError when another daemon has it. */
  constructor(path: string) {
    const other = ownerOf(path);
    if (other !== null)
      throw new QuiesceError("usage", `cannot create PID file: process ${other} has '${path}'`);
    this.#fd = openSync(path, "w");
    writeSync(this.#fd, `${process.pid}\n`);
    this.#path = fstatSync(this.#fd).isFile() ? realpathSync(path) : null;
  }

  remove(): void {
    if (this.#path !== null) rmSync(this.#path, { force: true });
    closeSync(this.#fd);
  }
}

/** The process that the file is of; null when there is none: another one may have got its id since. */
function ownerOf(path: string): number | null {
  if (!existsSync(path) || !statSync(path).isFile()) return null;
  const pid = Number(readFileSync(path, "utf8"));
  if (!Number.isInteger(pid) || pid <= 0 || pid === process.pid) return null;
  return hasOpen(pid, realpathSync(path)) ? pid : null;
}

/** Whether the process has the file open; where the system does not say, whether there is such a process. */
function hasOpen(pid: number, path: string): boolean {
  try {
    const folder = `/proc/${pid}/fd`;
    return readdirSync(folder).some((fd) => linkIn(folder, fd) === path);
  } catch {
    return isAlive(pid);
  }
}

function linkIn(folder: string, fd: string): string {
  try {
    return readlinkSync(`${folder}/${fd}`);
  } catch {
    // It was closed meanwhile.
    return "";
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // Another user's process may not be signalled (EPERM), but it is there.
    return error instanceof Error && "code" in error && error.code !== "ESRCH";
  }
}

const QUIT_SIGNALS = ["SIGTERM", "SIGINT", "SIGHUP"] as const;

/** SIGTERM, SIGINT and SIGHUP end the daemon as `quit` does, a second one ends the process; SIGUSR1 has its recording written. */
export class DaemonSignals {
  readonly #host: LiveHost;
  readonly #onWrite: () => void;
  #onQuit: (() => void) | null = null;

  constructor(host: LiveHost, onWrite: () => void) {
    this.#host = host;
    this.#onWrite = onWrite;
    process.on("SIGUSR1", onWrite);
  }

  listen(quitHandler: number): void {
    const onQuit = () => {
      this.#stopQuitting();
      this.#host.kick(quitHandler, 0);
    };
    this.#onQuit = onQuit;
    this.#host.expectOutside(true);
    for (const name of QUIT_SIGNALS) process.once(name, onQuit);
  }

  #stopQuitting(): void {
    if (this.#onQuit === null) return;
    for (const name of QUIT_SIGNALS) process.removeListener(name, this.#onQuit);
    this.#onQuit = null;
  }

  stop(): void {
    this.#stopQuitting();
    process.removeListener("SIGUSR1", this.#onWrite);
  }
}
