// Exports that are deleted while somebody uses them, or is about to.

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { protocol as nbd } from "#daemon/nbd";
import { haveTools } from "../nbd-peers/live-server.ts";
import { deafSocket, goTo, HELLO, OPENED, option, read } from "./deaf-client.ts";
import {
  daemonFolder,
  expectSound,
  qmpClient,
  type RunningDaemon,
  removeFolder,
  runningIn,
  startDaemon,
} from "./running-daemon.ts";

let folder: string;
const at = (name: string) => join(folder, name);
beforeEach(() => {
  folder = daemonFolder();
});
afterEach(() => removeFolder(folder));

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

const LIST = option(nbd.NBD_OPT_LIST);
const GO = goTo("n0");
const READ = read(512);

async function endsWell(daemon: RunningDaemon): Promise<void> {
  daemon.process.kill("SIGTERM");
  expect(await daemon.ended).toBe(0);
  await expectSound(daemon.trace());
}

describe.skipIf(!haveTools("nbdkit"))("an export whose disk takes its time", () => {
  function start(command: string, ...args: string[]): ChildProcess {
    return runningIn(folder, spawn(command, args, { cwd: folder, stdio: "ignore" }));
  }

  /** A daemon whose export has a request under way for another four seconds. */
  async function busy(): Promise<RunningDaemon> {
    start("nbdkit", "-f", "-U", "kit.sock", "--filter=delay", "memory", "1M", "rdelay=4");
    while (!existsSync(at("kit.sock"))) await sleep(10);
    const daemon = await startDaemon(folder, [
      ...["--object", "iothread,id=io0"],
      ...["--blockdev", "nbd,node-name=slow,server.type=unix,server.path=kit.sock"],
      ...["--nbd-server", "addr.type=unix,addr.path=nbd.sock"],
      ...["--export", "nbd,id=e0,node-name=slow,name=n0,iothread=io0"],
    ]);
    const client = net.connect(at("nbd.sock"));
    client.on("error", () => undefined);
    client.write(Buffer.concat([HELLO, GO, READ]));
    let heard = Buffer.alloc(0);
    await new Promise<void>((resolve) =>
      client.on("data", (chunk: Buffer) => {
        heard = Buffer.concat([heard, chunk]);
        if (heard.includes(OPENED)) resolve();
      }),
    );
    await sleep(200);
    return daemon;
  }

  it("ends when its last request has, and no command waits for that", async () => {
    const daemon = await busy();
    const qmp = await qmpClient(at("qmp.sock"));
    expect(await qmp.refusal("block-export-del", { id: "e0" })).toContain("still in use");
    await qmp.execute("block-export-del", { id: "e0", mode: "hard" });
    expect(await qmp.execute("query-block-exports")).toMatchObject([
      { id: "e0", "shutting-down": true },
    ]);
    expect(qmp.events).toEqual([]);
    const again = await qmp.refusal("block-export-del", { id: "e0" });
    expect(again).toContain("Export 'e0' is already shutting down");
    expect(await qmp.refusal("blockdev-del", { "node-name": "slow" })).toContain("is in use");
    await qmp.event("BLOCK_EXPORT_DELETED", { id: "e0" });
    expect(await qmp.execute("query-block-exports")).toEqual([]);
    await qmp.execute("blockdev-del", { "node-name": "slow" });
    await endsWell(daemon);
  });

  it("is waited for by the server's end", async () => {
    const daemon = await busy();
    const qmp = await qmpClient(at("qmp.sock"));
    await qmp.execute("block-export-del", { id: "e0", mode: "hard" });
    await qmp.execute("nbd-server-stop");
    expect(await qmp.execute("query-block-exports")).toEqual([]);
    await endsWell(daemon);
  });

  it("is waited for by the daemon's end", async () => {
    const daemon = await busy();
    const qmp = await qmpClient(at("qmp.sock"));
    await qmp.execute("block-export-del", { id: "e0", mode: "hard" });
    await endsWell(daemon);
  });
});

/** Bytes of the answer to a list of one export with that description. */
const DESCRIPTION = "x".repeat(4000);
const LIST_BYTES = 20 + 4 + 2 + DESCRIPTION.length + 20;

/** A client that asks for so many lists, opens the export and reads from it; it hears nothing before it is told to. */
function deafClient(lists: number): { readonly heard: () => Promise<Buffer> } {
  const asked = [
    HELLO,
    option(nbd.NBD_OPT_STRUCTURED_REPLY),
    ...new Array<Buffer>(lists).fill(LIST),
  ];
  const client = deafSocket(at("nbd.sock"), [...asked, GO, READ]);
  const closed = new Promise((resolve) => client.once("close", resolve));
  const heard = async (): Promise<Buffer> => {
    const chunks: Buffer[] = [];
    client.on("data", (chunk: Buffer) => void chunks.push(chunk));
    client.hear();
    client.end();
    await closed;
    return Buffer.concat(chunks);
  };
  return { heard };
}

describe("an export that is deleted while a client opens it", () => {
  it("serves nobody", async () => {
    const options = { type: "nbd", id: "e0", "node-name": "n0", description: DESCRIPTION };
    const daemon = await startDaemon(folder, [
      ...["--blockdev", "null-co,node-name=n0,size=1048576,read-zeroes=on"],
      ...["--nbd-server", "addr.type=unix,addr.path=nbd.sock"],
    ]);
    const qmp = await qmpClient(at("qmp.sock"));
    await qmp.execute("block-export-add", options);
    // How many lists have room on their way to somebody who does not read.
    const measured = deafClient(800);
    await sleep(1000);
    await qmp.execute("block-export-del", { id: "e0" });
    const room = Math.round((await measured.heard()).length / LIST_BYTES);
    expect(room).toBeLessThan(700);
    await qmp.execute("block-export-add", options);
    // One of these waits with its answer to GO.
    const clients = Array.from({ length: 24 }, (_, index) => deafClient(room - 16 + index));
    await sleep(1500);
    // Those whose answers had room are clients already.
    await qmp.execute("block-export-del", { id: "e0", mode: "hard" });
    await qmp.event("BLOCK_EXPORT_DELETED");
    const chunk = Buffer.from("668e33ef", "hex");
    let late = 0;
    for (const client of clients) {
      const heard = await client.heard();
      // The export was opened, and nothing came after that.
      if (heard.includes(OPENED) && !heard.includes(chunk)) late++;
    }
    expect(late).toBeGreaterThan(0);
    await endsWell(daemon);
  });
});
