// Real traffic, replayed on our daemon: see traffic.ts.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  daemonFolder,
  expectSound,
  type QmpClient,
  type QmpMessage,
  qmpClient,
  removeFolder,
  startDaemon,
} from "../daemon/running-daemon.ts";
import { haveTools, tool } from "../nbd-peers/live-server.ts";
import { DIALOGS, type Step } from "./traffic.ts";

let folder: string;
beforeEach(async () => {
  folder = daemonFolder();
  const create = (...args: readonly string[]) =>
    tool("qemu-img", "create", "-q", "-f", "qcow2", ...args);
  const at = (name: string) => join(folder, name);
  for (const name of ["source.qcow2", "target.qcow2"]) await create(at(name), "4M");
  writeFileSync(at("img-0.img"), new Uint8Array(1048576));
  await create("-b", at("img-0.img"), "-F", "raw", at("img-1.qcow2"));
  await create("-b", at("img-1.qcow2"), "-F", "qcow2", at("img-2.qcow2"));
});
afterEach(() => removeFolder(folder));

/** `value` with "*" where `expected` has it, so that the rest can be compared; lists in any order of their names. */
function masked(value: unknown, expected: unknown): unknown {
  if (expected === "*") return value === undefined ? undefined : "*";
  if (Array.isArray(value) && Array.isArray(expected))
    return value.map((one, index) => masked(one, expected[index]));
  if (typeof value !== "object" || value === null || typeof expected !== "object") return value;
  const wanted = expected as QmpMessage | null;
  const members = Object.entries(value).map(([key, member]) => [
    key,
    masked(member, wanted?.[key]),
  ]);
  return Object.fromEntries(members);
}

async function run(qmp: QmpClient, { execute, args = {}, answer, error, events = [] }: Step) {
  if (error !== undefined) {
    expect(await qmp.refusal(execute, { ...args })).toBe(error);
    return;
  }
  const value = masked(await qmp.execute(execute, { ...args }), answer);
  if (Array.isArray(answer)) expect(value).toHaveLength(answer.length);
  if (Array.isArray(answer) || answer === "") expect(value).toMatchObject(answer as object);
  else expect(value).toEqual(answer);
  for (const [name, data] of events) {
    const { id, status, device } = data as QmpMessage;
    const known = Object.entries({ id, status, device }).filter(([, one]) => one !== undefined);
    const event = await qmp.event(name, Object.fromEntries(known));
    expect(masked(event.data, data)).toEqual(data);
  }
}

describe.skipIf(!haveTools("qemu-img"))("traffic of QEMU's own tests", () => {
  it.each(DIALOGS)(
    "$title",
    async ({ options, steps }) => {
      const daemon = await startDaemon(folder, options);
      expect(daemon.stderr()).toBe("");
      const qmp = await qmpClient(join(folder, "qmp.sock"));
      for (const step of steps) await run(qmp, step);
      expect(await daemon.ended).toBe(0);
      await expectSound(daemon.trace());
    },
    120_000,
  );
});
