// The servers that are compared: each serves one image on a unix socket until it is stopped.

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** What serves: two of QEMU's, and ours at three levels of recording. */
export const SERVERS = ["qemu-nbd", "qemu-storage-daemon", "off", "inputs", "full"] as const;
/** `sleeping` is `inputs`, and does not look for work before it sleeps; measured when it is asked for. */
export type ServerName = (typeof SERVERS)[number] | "sleeping";

const OURS = join(import.meta.dirname, "..", "..", "..", "bin", "quiesce");

/** A server that listens. */
export interface Server {
  readonly name: ServerName;
  readonly socket: string;
  /** Folder of the recordings of ours, if it records. */
  readonly traces: string;
  /** Seconds of processor time that it took so far, all its threads. */
  cpuSeconds(): number;
  stop(): Promise<void>;
}

/** What is served, where, and with which further words for ours. */
export interface Served {
  readonly folder: string;
  readonly image: string;
  readonly format: "raw" | "qcow2";
  /** Of ours: aio=... of the file. */
  readonly aio?: string;
  /** Words that the command of a server is put behind: taskset -c 0. */
  readonly prefix: readonly string[];
}

/** Start one; it listens when this comes back. */
export async function startServer(name: ServerName, served: Served): Promise<Server> {
  const socket = join(served.folder, `${name}.sock`);
  const [program, ...args] = [...served.prefix, ...commandOf(name, served, socket)];
  const child = spawn(program as string, args, {
    cwd: served.folder,
    stdio: ["ignore", "ignore", "ignore"],
    env: { ...process.env, QUIESCE_NO_BUILD: "1" },
  });
  const ended = new Promise<void>((resolve) => child.on("exit", () => resolve()));
  while (!existsSync(socket)) {
    if (child.exitCode !== null) throw new Error(`${name} ended with ${child.exitCode}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return {
    name,
    socket,
    traces: tracesOf(socket),
    cpuSeconds: () => cpuSecondsOf(child),
    async stop() {
      child.kill("SIGTERM");
      await ended;
    },
  };
}

function tracesOf(socket: string): string {
  return `${socket}.traces`;
}

function commandOf(name: ServerName, { image, format, aio }: Served, socket: string): string[] {
  if (name === "qemu-nbd")
    return [name, "-t", "-e", "8", "-x", "bench", "-f", format, "-k", socket, image];
  const options = [
    ...[
      "--blockdev",
      `driver=file,node-name=f,filename=${image}${aio === undefined ? "" : `,aio=${aio}`}`,
    ],
    ...["--blockdev", `driver=${format},node-name=n,file=f`],
    ...["--nbd-server", `addr.type=unix,addr.path=${socket}`],
    ...["--export", "type=nbd,id=e,node-name=n,name=bench,writable=on"],
  ];
  if (name === "qemu-storage-daemon") return [name, ...options];
  const level = name === "sleeping" ? "inputs" : name;
  const record = name === "off" ? [] : ["--record", tracesOf(socket), "--level", level];
  const poll = name === "sleeping" ? ["--poll-max-ns", "0"] : [];
  return [process.execPath, OURS, "daemon", ...options, ...record, ...poll];
}

/** Of the threads that there are: none of these servers ends one that did work. */
function cpuSecondsOf({ pid }: ChildProcess): number {
  let ns = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    ns += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]);
  }
  return ns / 1e9;
}
