// `quiesce daemon` as a process of its own, with a QMP client and a recording.

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "..", "..");

/** A message of QMP. */
export type QmpMessage = Readonly<Record<string, unknown>>;

/** A client of a monitor that reads line by line. */
export class QmpClient {
  readonly #socket: net.Socket;
  #text = "";
  readonly #lines: QmpMessage[] = [];
  #wake: () => void = () => undefined;

  private constructor(socket: net.Socket) {
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => this.#received(chunk.toString()));
  }

  static async connect(path: string): Promise<QmpClient> {
    const socket = net.connect(path);
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
    return new QmpClient(socket);
  }

  #received(text: string): void {
    const lines = (this.#text + text).split("\n");
    this.#text = lines.pop() ?? "";
    for (const line of lines) this.#lines.push(JSON.parse(line) as QmpMessage);
    this.#wake();
  }

  /** The next message, an answer or an event. */
  async next(): Promise<QmpMessage> {
    for (;;) {
      const message = this.#lines.shift();
      if (message !== undefined) return message;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Send text as it is. */
  write(text: string): void {
    this.#socket.write(text);
  }

  /** Run a command; the next message. */
  async run(execute: string, args?: QmpMessage): Promise<QmpMessage> {
    this.write(JSON.stringify({ execute, ...(args === undefined ? {} : { arguments: args }) }));
    return await this.next();
  }

  close(): void {
    this.#socket.end();
  }
}

/** A daemon that runs. */
export interface RunningDaemon {
  readonly folder: string;
  readonly process: ChildProcess;
  /** Its exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals | null>;
  stderr(): string;
  /** The recording, once it has ended. */
  trace(): string;
}

/** A folder for one daemon. */
export function daemonFolder(): string {
  return mkdtempSync(join(tmpdir(), "quiesce-daemon-"));
}

/** Start a daemon in `folder`, with a monitor at `qmp.sock`; it is ready when this comes back, or has ended. */
export async function startDaemon(folder: string, args: readonly string[]): Promise<RunningDaemon> {
  const child = spawn(
    process.execPath,
    [
      join(ROOT, "bin", "quiesce"),
      "daemon",
      ...args,
      ...["--chardev", "socket,id=qmp,path=qmp.sock,server=on", "--monitor", "qmp"],
      ...["--pidfile", "pid", "--record", "traces"],
    ],
    { cwd: folder, stdio: ["ignore", "ignore", "pipe"] },
  );
  let stderr = "";
  child.stderr.on("data", (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  let isOver = false;
  const ended = new Promise<number | NodeJS.Signals | null>((resolve) => {
    child.on("exit", (code, signal) => {
      isOver = true;
      resolve(code ?? signal);
    });
  });
  while (!isOver && !existsSync(join(folder, "pid")))
    await new Promise((resolve) => setTimeout(resolve, 20));
  return {
    folder,
    process: child,
    ended,
    stderr: () => stderr,
    trace: () => join(folder, "traces", readdirSync(join(folder, "traces"))[0] ?? ""),
  };
}

/** Remove what a daemon left. */
export function removeFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
}
