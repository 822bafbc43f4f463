// Commands of qemu-io at a node of a running daemon, and what they print there.

import type { QmpClient, RunningDaemon } from "./running-daemon.ts";

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** The first line that each command prints; "" for one that prints nothing. */
export async function runQemuIo(
  { daemon, qmp }: { readonly daemon: RunningDaemon; readonly qmp: QmpClient },
  node: string,
  commands: readonly string[],
): Promise<string[]> {
  const first: string[] = [];
  for (const command of commands) {
    const before = daemon.stdout().length;
    const line = `qemu-io ${node} "${command}"`;
    await qmp.execute("human-monitor-command", { "command-line": line });
    const isSilent = /^(flush|aio_flush)$/.test(command);
    while (!isSilent && !daemon.stdout().slice(before).includes("\n")) await pause(5);
    await pause(5);
    first.push(daemon.stdout().slice(before).split("\n")[0] ?? "");
  }
  return first;
}
