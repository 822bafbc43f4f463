// A daemon as a process, for tests that outlast vitest: started, killed, and its trace.

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
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
}

/** `quiesce daemon ARGS` in `folder`, recorded there in `traces/`; it serves when this comes back. */
export async function startProcess(
  folder: string,
  args: readonly string[],
  level = "inputs",
): Promise<DaemonProcess> {
  const recorded = ["--pidfile", "pid", "--record", "traces", "--level", level];
  const child = spawn(
    process.execPath,
    ["--expose-gc", join(ROOT, "bin", "quiesce"), "daemon", ...args, ...recorded],
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
  return { process: child, ended, stderr: () => stderr };
}
