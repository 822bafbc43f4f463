// The options of the daemon against Debian's qemu-storage-daemon: used in wrong ways, and in both of their forms.

import { spawnSync } from "node:child_process";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { quiesce } from "../cli/test-support.ts";
import { haveTools } from "../nbd-peers/live-server.ts";
import { startBoth } from "./both-daemons.ts";
import { WRONG } from "./options.ts";
import { daemonFolder, removeFolder } from "./running-daemon.ts";

let folders: readonly [string, string];
beforeEach(() => {
  folders = [daemonFolder(), daemonFolder()];
});
afterEach(() => folders.forEach(removeFolder));

/** With its sockets in `folder`. */
const placed = (args: readonly string[], folder: string) =>
  args.map((arg) => arg.replaceAll(/path=(?=\w+\.sock)/g, `path=${folder}/`));

/** What is said of the last option of `args`, without how it was written. */
function reason(stderr: string, args: readonly string[]): string {
  const [name, text] = args.slice(-2);
  const [first = "", ...hint] = stderr.trim().split("\n");
  const at = first.indexOf(`${name} `);
  expect(at, first).toBeGreaterThan(0);
  const said = first.slice(at + `${name} `.length);
  const asGiven = said.startsWith(`${text}: `) ? `${text}: ` : undefined;
  // Ours prints an option that it has understood as JSON.
  const asJson = /^\{.*\}: (?=\S)/.exec(said)?.[0];
  return [said.slice((asGiven ?? asJson ?? "").length), ...hint].join("\n");
}

const PEER = haveTools("qemu-storage-daemon");

describe.skipIf(!PEER)("a wrong option is refused as by qemu-storage-daemon", () => {
  it.each(WRONG.map((args) => [args.join(" "), args] as const))("%s", async (_title, args) => {
    const [here, there] = folders.map((folder) => placed(args, folder)) as [string[], string[]];
    const how = { encoding: "utf8", input: "", timeout: 20_000 } as const;
    const theirs = spawnSync("qemu-storage-daemon", there, how);
    expect(theirs.status, "qemu-storage-daemon refuses it").toBe(1);
    const ours = await quiesce(["daemon", ...here]);
    expect(ours.code).toBe(2);
    expect(reason(ours.stderr, here)).toBe(reason(theirs.stderr, there));
  });
});

const DOTTED = [
  ...["--object", "iothread,id=io0"],
  ...["--object", "throttle-group,id=tg,limits.iops-total=100,limits.iops-total-max=200"],
  ...["--blockdev", "driver=null-co,node-name=n0,size=1048576,read-zeroes=on"],
  ...[
    "--blockdev",
    "raw,node-name=r0,read-only=on,file.driver=null-co,file.node-name=f0,file.size=65536",
  ],
  ...["--blockdev", "throttle,node-name=t0,throttle-group=tg,file=n0"],
  ...["--blockdev", "null-aio,node-name=n1,size=65536,read-only=on"],
  ...["--blockdev", "throttle,node-name=t1,throttle-group=tg,file=n1,read-only=on"],
  ...["--nbd-server", "addr.type=unix,addr.path=nbd.sock,max-connections=4"],
  ...["--export", "nbd,id=e0,node-name=t0,writable=on,iothread=io0"],
];
const JSON_FORM = [
  ...["--object", '{"qom-type": "iothread", "id": "io0"}'],
  ...["--object", '{"qom-type": "throttle-group", "id": "tg", "limits": {"iops-total": 100}}'],
  ...[
    "--blockdev",
    '{"driver": "null-co", "node-name": "n0", "size": 1048576, "read-zeroes": true}',
  ],
  ...[
    "--blockdev",
    "{'driver': 'raw', 'node-name': 'r0', 'read-only': true, 'file': {'driver': 'null-co', 'node-name': 'f0', 'size': 65536}}",
  ],
  ...[
    "--blockdev",
    '{"driver": "throttle", "node-name": "t0", "throttle-group": "tg", "file": "n0"}',
  ],
  ...["--nbd-server", '{"addr": {"type": "unix", "path": "nbd.sock"}, "max-connections": 4}'],
  ...[
    "--export",
    '{"type": "nbd", "id": "e0", "node-name": "t0", "writable": true, "iothread": "io0"}',
  ],
];

describe.skipIf(!PEER)("options do what they do at qemu-storage-daemon", () => {
  it.each([
    ["dotted", DOTTED],
    ["as JSON", JSON_FORM],
  ])("%s", async (_form, args) => {
    const both = await startBoth(args);
    try {
      for (const command of [
        ...["query-named-block-nodes", "query-block-exports", "x-debug-query-block-graph"],
        ...["query-block", "query-jobs"],
      ])
        await both.expectEqual(command, {});
      await both.theirs.qmp.execute("quit");
      await both.expectSound();
    } finally {
      both.close();
    }
  });
});
