// Small helpers of the setup scripts: running a program quietly, and one lock for the checkout.

import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** A failure whose one sentence is all that the user needs; printed without a stack. */
export class SetupError extends Error {}

export function say(line) {
  process.stderr.write(`${line}\n`);
}

/** Runs a program with its output held back; the output is shown only when it fails. */
export function quietly(command, args, { cwd = ROOT, env = process.env, failure }) {
  const result = spawnSync(command, args, {
    cwd,
    env,
    encoding: "utf8",
    maxBuffer: 1 << 28,
    stdio: ["ignore", "pipe", "pipe"],
    shell: process.platform === "win32",
  });
  if (result.status === 0) return;
  process.stderr.write(`${result.stdout ?? ""}${result.stderr ?? ""}`);
  throw new SetupError(result.error ? `${failure} (${result.error.message})` : failure);
}

/**
 * Runs `body` while holding the lock `name` of this checkout, so that two commands started at once do not install or
 * build over each other. The lock of a process that is gone is taken over.
 */
export function withLock(name, body) {
  const folder = join(ROOT, `.lock-${name}`);
  const owner = join(folder, "pid");
  const waitedMsMax = 10 * 60_000;
  for (let waitedMs = 0; ; waitedMs += 200) {
    try {
      mkdirSync(folder);
      break;
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
    }
    if (isAbandoned(folder, owner)) rmSync(folder, { recursive: true, force: true });
    else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
    if (waitedMs > waitedMsMax) throw new SetupError(`Another command holds ${folder}; remove it.`);
  }
  try {
    writeFileSync(owner, String(process.pid));
    return body();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function isAbandoned(folder, owner) {
  try {
    process.kill(Number(readFileSync(owner, "utf8")), 0);
    return false;
  } catch (error) {
    if (error.code === "EPERM") return false;
    if (error.code === "ESRCH") return true;
  }
  // No pid yet: its owner is between two system calls, or died there.
  try {
    return Date.now() - statSync(folder).mtimeMs > 5_000;
  } catch {
    return false;
  }
}
