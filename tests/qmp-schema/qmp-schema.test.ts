// What query-qmp-schema says is what Debian's qemu-storage-daemon says, and arguments that do not fit it get its words.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type BothDaemons, startBoth } from "../daemon/both-daemons.ts";
import type { QmpClient } from "../daemon/running-daemon.ts";
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

let both: BothDaemons;

beforeAll(async () => {
  if (PEER) both = await startBoth();
});
afterAll(() => both?.close());

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
    expect(
      differences(await schemaOf(both.ours.qmp), await schemaOf(both.theirs.qmp)).sort(),
    ).toEqual(OURS.sort());
  });

  it("names every type that it refers to, and all commands", async () => {
    const schema = await schemaOf(both.ours.qmp);
    const commands = (await both.ours.qmp.execute("query-commands")) as { name: string }[];
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
    const schema = await schemaOf(both.ours.qmp);
    const peerSchema = await schemaOf(both.theirs.qmp);
    const wrong = new WrongArguments(schema);
    const requests = schema
      .all("command")
      .filter(({ name }) => peerSchema.has(name))
      .flatMap((command) =>
        wrong.for(command).map((args) => `{"execute": "${command.name}", "arguments": ${args}}`),
      );
    expect(requests.length).toBeGreaterThan(800);
    const [our, their] = [
      await answersTo(both.ours.qmp, requests),
      await answersTo(both.theirs.qmp, requests),
    ];
    const differing = requests.flatMap((request, index) =>
      our[index] === their[index] ? [] : [`${request}\n  ${our[index]}\n  ${their[index]}`],
    );
    expect(differing).toEqual([]);
    expect(our.filter((answer) => answer === '"done"')).toEqual([]);
  });

  it("and the run replays, without a finding", async () => {
    await both.theirs.qmp.execute("quit");
    await both.expectSound();
  });
});
