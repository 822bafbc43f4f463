// `quiesce daemon` as a process of its own, with a QMP client and a recording.

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { Ev } from "#core/probe";
import { bytesSource, TraceReader } from "#traces";
import { recordingsIn, soundnessOfDaemon } from "../record-replay/soundness.ts";
import { AnswerTypes } from "./answer-types.ts";

const ROOT = join(import.meta.dirname, "..", "..");

/** A message of QMP. */
export type QmpMessage = Readonly<Record<string, unknown>>;

/** A client of a monitor that reads line by line; each answer and event is read by its type, too. */
export class QmpClient {
  readonly #socket: net.Socket;
  readonly #types = new AnswerTypes();
  #text = "";
  #isClosed = false;
  readonly #lines: QmpMessage[] = [];
  #wake: () => void = () => undefined;
  /** Events that came while an answer was waited for. */
  readonly events: QmpMessage[] = [];

  private constructor(socket: net.Socket) {
    this.#socket = socket;
    socket.on("data", (chunk: Buffer) => {
      this.#types.heard(chunk);
      this.#received(chunk.toString());
    });
    socket.on("close", () => {
      this.#isClosed = true;
      this.#wake();
    });
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
      expect(this.#types.problems).toEqual([]);
      const message = this.#lines.shift();
      if (message !== undefined) return message;
      if (this.#isClosed) throw new Error("the monitor has closed the connection");
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Send text as it is. */
  write(text: string): void {
    this.#types.said(Buffer.from(text));
    this.#socket.write(text);
  }

  /** Run a command; the next message. */
  async run(execute: string, args?: QmpMessage): Promise<QmpMessage> {
    this.write(JSON.stringify({ execute, ...(args === undefined ? {} : { arguments: args }) }));
    return await this.next();
  }

  /** Run a command; what it returns. Throws its error, as `Class: words`. Events on the way are kept. */
  async execute(command: string, args: QmpMessage = {}): Promise<unknown> {
    this.write(JSON.stringify({ execute: command, arguments: args }));
    for (;;) {
      const message = await this.next();
      if ("event" in message) this.events.push(message);
      else if ("error" in message) throw new Error(errorText(message));
      else return message.return;
    }
  }

  /** Run a command that is refused; its error, as `Class: words`. */
  async refusal(command: string, args: QmpMessage = {}): Promise<string> {
    try {
      await this.execute(command, args);
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
    throw new Error(`${command} was not refused`);
  }

  /** The next event of that name with these members, which may have come already; those before it are forgotten. */
  async event(name: string, data: QmpMessage = {}): Promise<QmpMessage> {
    for (;;) {
      const event = this.events.shift() ?? (await this.next());
      const has = event.data as QmpMessage | undefined;
      const fits = Object.entries(data).every(([key, value]) => has?.[key] === value);
      if (event.event === name && fits) return event;
    }
  }

  close(): void {
    this.#socket.end();
  }
}

/** A client that sees the text as it comes; what it says is read by its type, too. */
export class RawClient {
  readonly #socket: net.Socket;
  readonly #types = new AnswerTypes();
  #text = "";
  #wake: () => void = () => undefined;

  constructor(path: string) {
    this.#socket = net.connect(path);
    this.#socket.on("data", (chunk: Buffer) => {
      this.#types.heard(chunk);
      this.#text += chunk.toString();
      this.#wake();
    });
  }

  write(text: string): void {
    this.#types.said(Buffer.from(text));
    this.#socket.write(text);
  }

  close(): void {
    this.#socket.end();
  }

  /** What comes up to the next `end`, with it. */
  async upTo(end: string): Promise<string> {
    while (!this.#text.includes(end))
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    expect(this.#types.problems).toEqual([]);
    const text = this.#text.slice(0, this.#text.indexOf(end) + end.length);
    this.#text = this.#text.slice(text.length);
    return text;
  }
}

function errorText({ error }: QmpMessage): string {
  const { class: errorClass, desc } = error as { class: string; desc: string };
  return `${errorClass}: ${desc}`;
}

/** A client that has negotiated. */
export async function qmpClient(path: string): Promise<QmpClient> {
  const client = await QmpClient.connect(path);
  await client.next();
  await client.execute("qmp_capabilities");
  return client;
}

/** A daemon that runs. */
export interface RunningDaemon {
  readonly folder: string;
  readonly process: ChildProcess;
  /** Its exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals | null>;
  stderr(): string;
  /** What it has printed by now. */
  stdout(): string;
  /** The recording, once it has ended. */
  trace(): string;
}

/** What runs in a folder: a test that fails leaves nothing behind. */
const running = new Map<string, ChildProcess[]>();

/** A process that ends, at the latest, when `folder` is removed. */
export function runningIn(folder: string, child: ChildProcess): ChildProcess {
  running.set(folder, [...(running.get(folder) ?? []), child]);
  return child;
}

/** A folder for one daemon. */
export function daemonFolder(): string {
  return mkdtempSync(join(tmpdir(), "quiesce-daemon-"));
}

/** Start a daemon in `folder`, with a monitor at `qmp.sock`; it is ready when this comes back, or has ended. */
export async function startDaemon(
  folder: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<RunningDaemon> {
  const child = spawn(
    process.execPath,
    [
      join(ROOT, "bin", "quiesce"),
      "daemon",
      ...args,
      ...["--chardev", "socket,id=qmp,path=qmp.sock,server=on", "--monitor", "qmp"],
      ...["--pidfile", "pid", "--record", "traces"],
    ],
    { cwd: folder, stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...env } },
  );
  runningIn(folder, child);
  let stderr = "";
  let stdout = "";
  child.stdout.on("data", (chunk: Buffer) => {
    stdout += chunk.toString();
  });
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
    stdout: () => stdout,
    trace: () => join(folder, "traces", readdirSync(join(folder, "traces"))[0] ?? ""),
  };
}

/** All recordings in the folder of daemons replay identically, and have no finding. */
export async function expectAllSound(folder: string): Promise<void> {
  const traces = recordingsIn(join(folder, "traces"));
  expect(traces.length).toBeGreaterThan(0);
  for (const trace of traces) await expectSound(trace);
}

/** The recording replays identically, and has no finding. */
export async function expectSound(trace: string): Promise<void> {
  expect(soundnessOfDaemon(trace).problems).toEqual([]);
}

/** Debian's qemu-storage-daemon in `folder`, with a monitor at `qmp.sock`; it is ready when this comes back. */
export async function startPeer(folder: string, args: readonly string[]): Promise<ChildProcess> {
  const monitor = ["--chardev", "socket,id=qmp,path=qmp.sock,server=on,wait=off"];
  const child = spawn("qemu-storage-daemon", [...args, ...monitor, "--monitor", "qmp"], {
    ...{ cwd: folder, stdio: "ignore" },
  });
  runningIn(folder, child);
  while (!existsSync(join(folder, "qmp.sock"))) {
    expect(child.exitCode, "qemu-storage-daemon takes these options").toBe(null);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return child;
}

/** Remove what a daemon left, and end it where it has not ended. */
export function removeFolder(folder: string): void {
  for (const child of running.get(folder) ?? []) child.kill("SIGKILL");
  running.delete(folder);
  rmSync(folder, { recursive: true, force: true });
}

/** All contents that a recording has: its header, and bytes that were revealed. */
export function writtenDown(trace: string): Buffer {
  const reader = TraceReader.open(bytesSource(readFileSync(trace)));
  const words: number[] = [];
  for (const batch of reader.batches()) {
    for (let i = 0; i < batch.count; i++) {
      if (batch.kind(i) !== Ev.revealed) continue;
      for (let slot = 0; slot < 4; slot++) words.push(batch.arg(i, slot));
    }
  }
  const bytes = Buffer.alloc(4 * words.length);
  words.forEach((word, index) => {
    bytes.writeInt32BE(word, 4 * index);
  });
  return Buffer.concat([Buffer.from(JSON.stringify(reader.header)), bytes]);
}
