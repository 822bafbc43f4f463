// A daemon as a process, for tests that outlast vitest: started, killed, and its trace.

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";

/** The checkout, seen from the sources and from `dist/`. */
export const ROOT = (() => {
  let folder = import.meta.dirname;
  while (!existsSync(join(folder, "bin", "quiesce"))) folder = dirname(folder);
  return folder;
})();

/** A daemon that serves, or has failed to. */
export interface DaemonProcess {
  readonly process: ChildProcess;
  readonly ended: Promise<number | NodeJS.Signals | null>;
  readonly stderr: () => string;
  /** What it holds when all that nobody needs any more is collected. */
  readonly memory: () => Promise<DaemonMemory>;
}

/** Megabytes: objects, and contents of buffers. */
export interface DaemonMemory {
  readonly heapMb: number;
  readonly buffersMb: number;
}

/** Answers SIGUSR2 with a collection of garbage and a file that says what is left. */
const MEMORY_PROBE = `
import { renameSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
const file = resolve("memory");
process.on("SIGUSR2", () => {
  gc(); gc();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  writeFileSync(file + ".new", JSON.stringify({ heapMb: heapUsed / 2 ** 20, buffersMb: arrayBuffers / 2 ** 20 }));
  renameSync(file + ".new", file);
});`;

/** `quiesce daemon ARGS` in `folder`, recorded there in `traces/`; it serves when this comes back. */
export async function startProcess(
  folder: string,
  args: readonly string[],
  level = "inputs",
): Promise<DaemonProcess> {
  const recorded = ["--pidfile", "pid", "--record", "traces", "--level", level];
  const child = spawn(
    process.execPath,
    [
      ...["--expose-gc", "--import", `data:text/javascript,${encodeURIComponent(MEMORY_PROBE)}`],
      ...[join(ROOT, "bin", "quiesce"), "daemon", ...args, ...recorded],
    ],
    {
      cwd: folder,
      stdio: ["ignore", "ignore", "pipe"],
      env: { ...process.env, QUIESCE_NO_BUILD: "1" },
    },
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
    await new Promise((resolve) => setTimeout(resolve, 10));
  if (isOver) throw new Error(`the daemon did not start: ${stderr}`);
  const answer = join(folder, "memory");
  return {
    ...{ process: child, ended, stderr: () => stderr },
    async memory() {
      child.kill("SIGUSR2");
      while (!isOver && !existsSync(answer)) await new Promise((go) => setTimeout(go, 10));
      const memory = JSON.parse(readFileSync(answer, "utf8")) as DaemonMemory;
      rmSync(answer);
      return memory;
    },
  };
}
