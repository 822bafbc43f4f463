// What query-qmp-schema says is what Debian's qemu-storage-daemon says, and arguments that do not fit it get its words.

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  daemonFolder,
  expectSound,
  type QmpClient,
  qmpClient,
  type RunningDaemon,
  removeFolder,
  startDaemon,
} from "../daemon/running-daemon.ts";
import { haveTools } from "../nbd-peers/live-server.ts";
import { differences, QmpSchema, type SchemaEntry, WrongArguments } from "./schema.ts";

const PEER = haveTools("qemu-storage-daemon");

/** What ours has beyond QEMU's daemon. */
const OURS = [
  "human-monitor-command: command",
  "SHUTDOWN: event",
  "DEVICE_TRAY_MOVED: event",
  "blockdev-add(file).aio: value inline",
  "blockdev-add(file).aio: value auto",
];

const folder = daemonFolder();
const peerFolder = daemonFolder();
let daemon: RunningDaemon;
let ours: QmpClient;
let peer: ChildProcess;
let theirs: QmpClient;

beforeAll(async () => {
  if (!PEER) return;
  daemon = await startDaemon(folder, []);
  ours = await qmpClient(join(folder, "qmp.sock"));
  const socket = "socket,id=qmp,path=qmp.sock,server=on,wait=off";
  const args = ["--chardev", socket, "--monitor", "qmp"];
  peer = spawn("qemu-storage-daemon", args, { cwd: peerFolder, stdio: "ignore" });
  while (!existsSync(join(peerFolder, "qmp.sock"))) await new Promise((go) => setTimeout(go, 20));
  theirs = await qmpClient(join(peerFolder, "qmp.sock"));
});
afterAll(() => {
  peer?.kill();
  for (const at of [folder, peerFolder]) removeFolder(at);
});

async function schemaOf(client: QmpClient): Promise<QmpSchema> {
  return new QmpSchema((await client.execute("query-qmp-schema")) as SchemaEntry[]);
}

/** All answers to `requests`, which go out without waiting for any. */
async function answersTo(client: QmpClient, requests: readonly string[]): Promise<string[]> {
  client.write(requests.join("\n"));
  const answers: string[] = [];
  for (const _ of requests) answers.push(JSON.stringify((await client.next()).error ?? "done"));
  return answers;
}

describe.skipIf(!PEER)("the schema", () => {
  it("has nothing that qemu-storage-daemon's has otherwise", async () => {
    expect(differences(await schemaOf(ours), await schemaOf(theirs)).sort()).toEqual(OURS.sort());
  });

  it("names every type that it refers to, and all commands", async () => {
    const schema = await schemaOf(ours);
    const commands = (await ours.execute("query-commands")) as { name: string }[];
    expect(commands.map(({ name }) => schema.get(name)["meta-type"])).toEqual(
      commands.map(() => "command"),
    );
    const named = ["command", "event", "array", "object", "alternate"].flatMap((metaType) =>
      schema
        .all(metaType)
        .flatMap((entry) => [
          ...[entry["arg-type"], entry["ret-type"], entry["element-type"]],
          ...(entry.members ?? []).map(({ type }) => type),
          ...(entry.variants ?? []).map(({ type }) => type),
        ]),
    );
    expect(named.filter((name) => name !== undefined && !schema.has(name))).toEqual([]);
  });

  it("is kept: each argument of each command with each wrong type is refused in QEMU's words", async () => {
    const schema = await schemaOf(ours);
    const peerSchema = await schemaOf(theirs);
    const wrong = new WrongArguments(schema);
    const requests = schema
      .all("command")
      .filter(({ name }) => peerSchema.has(name))
      .flatMap((command) =>
        wrong.for(command).map((args) => `{"execute": "${command.name}", "arguments": ${args}}`),
      );
    expect(requests.length).toBeGreaterThan(800);
    const [our, their] = [await answersTo(ours, requests), await answersTo(theirs, requests)];
    const differing = requests.flatMap((request, index) =>
      our[index] === their[index] ? [] : [`${request}\n  ${our[index]}\n  ${their[index]}`],
    );
    expect(differing).toEqual([]);
    expect(our.filter((answer) => answer === '"done"')).toEqual([]);
  });

  it("and the run replays, without a finding", async () => {
    await theirs.execute("quit");
    await ours.execute("quit");
    expect(await daemon.ended).toBe(0);
    await expectSound(daemon.trace());
  });
});
