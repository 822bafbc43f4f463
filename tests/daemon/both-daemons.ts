// Our daemon and Debian's qemu-storage-daemon, each in a folder with the same files, for the same commands.

import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import { expect } from "vitest";
import {
  daemonFolder,
  expectSound,
  type QmpClient,
  qmpClient,
  type RunningDaemon,
  removeFolder,
  startDaemon,
  startPeer,
} from "./running-daemon.ts";

/** One of the two. */
export interface Peer {
  readonly folder: string;
  readonly qmp: QmpClient;
}

/** Both; `close` ends what still runs and removes all files. */
export interface BothDaemons {
  readonly ours: Peer;
  readonly theirs: Peer;
  readonly daemon: RunningDaemon;
  readonly peer: ChildProcess;
  /** Run a command in both; the answers, or the errors, are equal, but for the members `except`. */
  expectEqual(command: string, args: object, except?: readonly string[]): Promise<void>;
  /** Ours ends, its recording replays identically, and there is no finding. */
  expectSound(): Promise<void>;
  close(): void;
}

/** Start both with the options `args`, after `prepare` has put files into each folder. */
export async function startBoth(
  args: readonly string[] = [],
  prepare: (folder: string) => Promise<void> | void = () => undefined,
): Promise<BothDaemons> {
  const [folder, peerFolder] = [daemonFolder(), daemonFolder()];
  for (const at of [folder, peerFolder]) await prepare(at);
  const daemon = await startDaemon(folder, args);
  expect(daemon.stderr()).toBe("");
  const ours = { folder, qmp: await qmpClient(join(folder, "qmp.sock")) };
  const peer = await startPeer(peerFolder, args);
  const theirs = { folder: peerFolder, qmp: await qmpClient(join(peerFolder, "qmp.sock")) };
  return {
    ...{ ours, theirs, daemon, peer },
    async expectEqual(command, given, except = []) {
      const [our, their] = [
        await answer(ours.qmp, command, given),
        await answer(theirs.qmp, command, given),
      ];
      expect(comparable(our, except)).toEqual(comparable(their, except));
    },
    async expectSound() {
      await ours.qmp.execute("quit");
      expect(await daemon.ended).toBe(0);
      await expectSound(daemon.trace());
    },
    close() {
      for (const at of [folder, peerFolder]) removeFolder(at);
    },
  };
}

/** What `client` is answered: a value, or an error as text. */
async function answer(client: QmpClient, command: string, args: object): Promise<unknown> {
  try {
    return await client.execute(command, { ...args });
  } catch (error) {
    return error instanceof Error ? error.message : error;
  }
}

/** Bitmaps that only the daemon itself knows: which nodes have them is its own business. */
function areNameless(key: string, value: unknown): boolean {
  if (key !== "dirty-bitmaps" || !Array.isArray(value)) return false;
  return value.every((bitmap: object) => !("name" in bitmap));
}

/** Without the times of snapshots and the numbers of names that were made; options in a file name in the order of our choice. */
function comparable(value: unknown, except: readonly string[]): unknown {
  if (typeof value === "string" && /^#block[0-9]+$/.test(value)) return "#block";
  if (typeof value === "string" && value.startsWith("json:"))
    return comparable(JSON.parse(value.slice("json:".length)), except);
  if (Array.isArray(value)) return value.map((one) => comparable(one, except));
  if (typeof value !== "object" || value === null) return value;
  const members = Object.entries(value).filter(
    ([key, member]) => !/^date-/.test(key) && !except.includes(key) && !areNameless(key, member),
  );
  return Object.fromEntries(members.map(([key, member]) => [key, comparable(member, except)]));
}
