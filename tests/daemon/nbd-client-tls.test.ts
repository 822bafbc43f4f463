// The NBD client over TLS, and with servers that speak the oldest of the protocols: qemu-nbd and nbdkit, which no one here wrote.
// What is refused is refused in the words of qemu-storage-daemon, which is asked the same.

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { haveTools, tool } from "../nbd-peers/live-server.ts";
import { type BothDaemons, startBoth } from "./both-daemons.ts";
import { makeCertificates } from "./certificates.ts";
import { runQemuIo } from "./qemu-io-lines.ts";
import {
  daemonFolder,
  expectSound,
  qmpClient,
  removeFolder,
  startDaemon,
  writtenDown,
} from "./running-daemon.ts";

const PEER = haveTools("openssl", "nbdkit", "qemu-nbd", "qemu-img", "qemu-storage-daemon");
const KEY = "0123456789abcdef0123456789abcdef";

let folder: string;
const at = (name: string) => join(folder, name);
const servers: ChildProcess[] = [];
let both: BothDaemons;

beforeAll(async () => {
  folder = daemonFolder();
  if (!PEER) return;
  for (const pki of ["pki", "other"]) makeCertificates(at(pki));
  for (const [name, key] of [
    ["psk", KEY],
    ["wrong-psk", "f".repeat(32)],
  ] as const) {
    mkdirSync(at(name));
    writeFileSync(at(`${name}/keys.psk`), `alice:${key}\n`);
  }
  both = await startBoth([], () => undefined);
  for (const [id, dir, more] of CREDS)
    for (const { qmp } of [both.ours, both.theirs])
      await qmp.execute("object-add", { ...more, id, dir: at(dir) });
});
afterAll(() => {
  for (const server of servers) server.kill("SIGKILL");
  both?.close();
  removeFolder(folder);
});

const x509 = { "qom-type": "tls-creds-x509", endpoint: "client" };
const psk = { "qom-type": "tls-creds-psk", endpoint: "client", username: "alice" };
const CREDS: readonly (readonly [string, string, object])[] = [
  ["good", "pki", x509],
  ["stranger", "other", x509],
  ["trusting", "other", { ...x509, "verify-peer": false }],
  ["server", "pki", { ...x509, endpoint: "server" }],
  ["psk", "psk", psk],
  ["wrong-psk", "wrong-psk", psk],
];

/** Start a server; it listens when this comes back. */
async function serve(socket: string | number, command: string, ...args: string[]) {
  const server = spawn(command, args, { cwd: folder, stdio: "ignore" });
  servers.push(server);
  while (!(await listens(socket))) await new Promise((go) => setTimeout(go, 20));
  return server;
}

async function listens(socket: string | number): Promise<boolean> {
  if (typeof socket === "string") return existsSync(at(socket));
  return await new Promise((resolve) => {
    const probe = net.connect(socket, "127.0.0.1");
    probe.once("connect", () => {
      probe.destroy();
      resolve(true);
    });
    probe.once("error", () => resolve(false));
  });
}

const nbdkit = (socket: string, ...args: string[]) =>
  serve(socket, "nbdkit", "-f", "-U", at(socket), ...args);

const node = (socket: string, more: object = {}) => ({
  ...{ driver: "nbd", "node-name": "disk", server: { type: "unix", path: at(socket) } },
  ...more,
});

/** Commands of qemu-io at a node of a daemon of its own, which then ends; its recording is sound and has no key. */
async function session(options: object, ...commands: string[]): Promise<string[]> {
  const own = daemonFolder();
  const objects = CREDS.filter(([id]) => id !== "server").flatMap(([id, dir, more]) => [
    "--object",
    JSON.stringify({ ...more, id, dir: at(dir) }),
  ]);
  const daemon = await startDaemon(own, [
    ...["--object", "iothread,id=io0", ...objects],
    ...["--blockdev", JSON.stringify({ "node-name": "disk", ...options })],
  ]);
  expect(daemon.stderr()).toBe("");
  const qmp = await qmpClient(join(own, "qmp.sock"));
  const lines = await runQemuIo({ daemon, qmp }, "disk", commands);
  daemon.process.kill("SIGTERM");
  expect(await daemon.ended).toBe(0);
  expect(writtenDown(daemon.trace()).includes(KEY)).toBe(false);
  await expectSound(daemon.trace());
  removeFolder(own);
  return lines;
}

const ROUND = ["write -P 5 1M 200k", "read -P 5 1M 200k", "read -P 0 0 1M", "flush"];
const DONE = ["wrote 204800/204800", "read 204800/204800", "read 1048576/1048576", ""];

async function expectRound(options: object): Promise<void> {
  const lines = await session(options, ...ROUND);
  expect(lines.map((line) => line.split(" bytes")[0])).toEqual(DONE);
}

describe.skipIf(!PEER)("the NBD client", () => {
  it("speaks TLS with nbdkit, which insists on it, and reads and writes", async () => {
    await nbdkit("tls.sock", "--tls=require", `--tls-certificates=${at("pki")}`, "memory", "4M");
    const hostname = { "tls-hostname": "localhost" };
    await expectRound(node("tls.sock", { "tls-creds": "good", ...hostname }));
    await expectRound(node("tls.sock", { "tls-creds": "trusting" }));
  });

  it("by a pre-shared key, too", async () => {
    await nbdkit("psk.sock", "--tls=require", `--tls-psk=${at("psk/keys.psk")}`, "memory", "4M");
    await expectRound(node("psk.sock", { "tls-creds": "psk" }));
  });

  it("over TCP with qemu-nbd, by the name that it was told to connect to", async () => {
    const port = await freePort();
    await tool("qemu-img", "create", "-q", "-f", "qcow2", at("disk.qcow2"), "4M");
    const creds = `tls-creds-x509,id=t0,dir=${at("pki")},endpoint=server,verify-peer=on`;
    const listen = ["-b", "127.0.0.1", "-p", String(port), "-x", "exp", "-t", "-f", "qcow2"];
    const args = ["--object", creds, "--tls-creds", "t0", ...listen, at("disk.qcow2")];
    const server = await serve(port, "qemu-nbd", ...args);
    const inet = { type: "inet", host: "localhost", port: String(port) };
    const options = { driver: "nbd", server: inet, export: "exp", "tls-creds": "good" };
    await expectRound(options);
    server.kill("SIGKILL");
    await new Promise((resolve) => server.once("exit", resolve));
  });

  it("makes an encrypted connection again when its server was killed in the middle of load", async () => {
    const secure = ["--tls=require", `--tls-certificates=${at("pki")}`];
    // Slow, so that the load lasts until the last kill.
    const args = [...secure, "--filter=delay", "file", at("load.img"), "delay-write=20ms"];
    writeFileSync(at("load.img"), new Uint8Array(8 * 1024 * 1024));
    const isWritten = (write: number) => readFileSync(at("load.img"))[write * 64 * 1024] !== 0;
    let server = await nbdkit("load.sock", ...args);
    const more = { "tls-creds": "good", "tls-hostname": "localhost", "reconnect-delay": 60 };
    const writes = Array.from({ length: 120 }, (_, n) => `write -P ${n + 1} ${n * 64}k 64k`);
    let isOver = false;
    const load = session(node("load.sock", more), ...writes, "flush").finally(() => {
      isOver = true;
    });
    for (const write of [10, 40, 80]) {
      while (!isOver && !isWritten(write)) await new Promise((go) => setTimeout(go, 10));
      expect(isOver, "the load is over before the server was killed").toBe(false);
      server.kill("SIGKILL");
      await new Promise((resolve) => server.once("exit", resolve));
      rmSync(at("load.sock"));
      server = await nbdkit("load.sock", ...args);
    }
    const lines = await load;
    expect(lines.filter((line) => !/^wrote 65536\/65536|^$/.test(line))).toEqual([]);
    const reads = writes.flatMap((line) => ["-c", line.replace("write", "read")]);
    const { stdout } = await tool("qemu-io", "-r", "-f", "raw", ...reads, at("load.img"));
    expect(stdout).not.toMatch(/failed/);
  });

  it("speaks oldstyle", async () => {
    await nbdkit("old.sock", "-o", "memory", "4M");
    await expectRound(node("old.sock"));
    await nbdkit(
      "error.sock",
      "-o",
      "--filter=error",
      "memory",
      "4M",
      "error-pread=EIO",
      "error-pread-rate=1",
    );
    expect(await session(node("error.sock"), "read 0 4k", "write 0 4k")).toEqual([
      "read failed: Input/output error",
      "wrote 4096/4096 bytes at offset 0",
    ]);
  });

  it("waits for TLS no longer than it was told to open", async () => {
    // A server that says nothing.
    const silent = net.createServer().listen(at("silent.sock"));
    const started = Date.now();
    const more = { "tls-creds": "good", "tls-hostname": "localhost", "open-timeout": 1 };
    await both.ours.qmp.refusal("blockdev-add", node("silent.sock", more) as never);
    expect(Date.now() - started).toBeLessThan(10_000);
    silent.close();
  });

  it.each<[string, string, object]>([
    ["no hostname", "tls.sock", { "tls-creds": "good" }],
    ["another hostname", "tls.sock", { "tls-creds": "good", "tls-hostname": "example.com" }],
    [
      "a stranger's certificate",
      "tls.sock",
      { "tls-creds": "stranger", "tls-hostname": "localhost" },
    ],
    ["no TLS where it is wanted", "tls.sock", {}],
    ["TLS where there is none", "plain.sock", { "tls-creds": "good", "tls-hostname": "localhost" }],
    [
      "TLS where qemu-nbd has none",
      "qemu.sock",
      { "tls-creds": "good", "tls-hostname": "localhost" },
    ],
    ["TLS with oldstyle", "old.sock", { "tls-creds": "good", "tls-hostname": "localhost" }],
    ["an export's name with oldstyle", "old.sock", { export: "e" }],
    ["no such export", "qemu.sock", { export: "none" }],
    ["no such credentials", "tls.sock", { "tls-creds": "none" }],
    ["the server's credentials", "tls.sock", { "tls-creds": "server" }],
    ["credentials that are no text", "tls.sock", { "tls-creds": 5 }],
    ["too long a context", "qemu.sock", { export: "exp", "x-dirty-bitmap": "x".repeat(5000) }],
    ["too long a name", "qemu.sock", { export: "x".repeat(5000) }],
  ])("is refused as qemu-storage-daemon is: %s", async (_what, socket, more) => {
    if (socket === "plain.sock" && !existsSync(at(socket)))
      await nbdkit("plain.sock", "--tls=off", "memory", "4M");
    if (socket === "qemu.sock" && !existsSync(at(socket)))
      await serve(
        "qemu.sock",
        "qemu-nbd",
        "-k",
        at("qemu.sock"),
        "-r",
        "-t",
        "-x",
        "exp",
        "-f",
        "raw",
        at("load.img"),
      );
    await both.expectEqual("blockdev-add", node(socket, { "read-only": true, ...more }));
  });

  it("is refused with a wrong key", async () => {
    for (const { qmp } of [both.ours, both.theirs])
      expect(
        await qmp.refusal("blockdev-add", node("psk.sock", { "tls-creds": "wrong-psk" }) as never),
      ).toMatch(/^GenericError: /);
  });

  it("and all of that replays, without a finding", async () => {
    await both.expectSound();
  });
});

async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
