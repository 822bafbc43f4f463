// Clients that ask for much and read nothing: what their answers take stays within the limits of daemon/nbd/limits.ts.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { deafSocket, goTo, HELLO, read } from "./deaf-client.ts";
import {
  daemonFolder,
  expectSound,
  qmpClient,
  type RunningDaemon,
  removeFolder,
  startDaemon,
} from "./running-daemon.ts";

const MIB = 1024 * 1024;
/** Of all that is not the answers' memory: code, the heap, what is recorded. */
const SLACK_MIB = 64;

let folder: string;
const at = (name: string) => join(folder, name);
beforeEach(() => {
  folder = daemonFolder();
});
afterEach(() => removeFolder(folder));

/** The most memory that the daemon has had, in MiB. */
function peakMib({ process: { pid } }: RunningDaemon): number {
  const peak = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  expect(peak).not.toBeNull();
  return Number(peak?.[1]) / 1024;
}

describe.skipIf(process.platform !== "linux")("answers that nobody reads", () => {
  it.each([
    // Sixteen may be under way, of 64 MiB together.
    ["one client, 32 MiB a read", { clients: 1, bytes: 32 * MIB, least: 32, most: 64 }],
    // Each alone would have 64 MiB; with 256 MiB of all, each has one more at most.
    [
      "twelve clients, 4 MiB a read",
      { clients: 12, bytes: 4 * MIB, least: 128, most: 256 + 12 * 4 },
    ],
  ])("%s", async (_title, { clients, bytes, least, most }) => {
    const daemon = await startDaemon(folder, [
      ...["--blockdev", "null-co,node-name=n0,size=1073741824,read-zeroes=on"],
      ...["--nbd-server", "addr.type=unix,addr.path=nbd.sock"],
      ...["--export", "nbd,id=e0,node-name=n0"],
    ]);
    const qmp = await qmpClient(at("qmp.sock"));
    const before = peakMib(daemon);
    const messages = [HELLO, goTo("n0"), ...new Array<Buffer>(32).fill(read(bytes))];
    const sockets = Array.from({ length: clients }, () => deafSocket(at("nbd.sock"), messages));
    await expect.poll(() => peakMib(daemon) - before, { timeout: 20_000 }).toBeGreaterThan(least);
    // What would take more has the time to.
    await new Promise((resolve) => setTimeout(resolve, 1500));
    expect(peakMib(daemon) - before).toBeLessThan(most + SLACK_MIB);
    // The monitor answers meanwhile.
    expect(await qmp.execute("query-block-exports")).toHaveLength(1);
    for (const socket of sockets) socket.destroy();
    daemon.process.kill("SIGTERM");
    expect(await daemon.ended).toBe(0);
    await expectSound(daemon.trace());
  });
});
