// TLS as tools of Debian's speak it (GnuTLS at their end): who has the right papers is served, who has not learns nothing, and
// recordings have neither secrets nor names, and replay.

import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { quiesce } from "../cli/test-support.ts";
import { haveTools, tool } from "../nbd-peers/live-server.ts";
import { CLIENT_NAME, makeCertificates } from "./certificates.ts";
import {
  daemonFolder,
  expectSound,
  QmpClient,
  type RunningDaemon,
  removeFolder,
  startDaemon,
  writtenDown,
} from "./running-daemon.ts";

const PASSWORD = "open-sesame-0815";
const contents = randomBytes(1024 * 1024);
let folder: string;
const at = (name: string) => join(folder, name);

beforeAll(() => {
  folder = daemonFolder();
  if (!haveTools("openssl")) return;
  makeCertificates(at("pki"), { password: PASSWORD });
  makeCertificates(at("other"));
  mkdirSync(at("psk"));
  writeFileSync(at("psk/keys.psk"), "alice:0123456789abcdef0123456789abcdef\n");
  writeFileSync(at("wrong.psk"), "alice:ffffffffffffffffffffffffffffffff\n");
});
afterAll(() => removeFolder(folder));

/** A daemon in a folder of its own that serves `contents` as "d" over TLS, on TCP and with X.509. */
async function serveX509(...more: string[]): Promise<{ daemon: RunningDaemon; port: number }> {
  const port = await freePort();
  const daemon = await serve([
    ...["--object", `secret,id=pw,data=${PASSWORD}`],
    ...["--object", `tls-creds-x509,id=t0,dir=${at("pki")},endpoint=server,passwordid=pw`],
    ...more,
    ...[
      "--nbd-server",
      `addr.type=inet,addr.host=127.0.0.1,addr.port=${port},tls-creds=t0,tls-authz=az`,
    ],
  ]);
  return { daemon, port };
}

async function serve(security: readonly string[]): Promise<RunningDaemon> {
  const own = daemonFolder();
  writeFileSync(join(own, "disk.img"), contents);
  const daemon = await startDaemon(own, [
    ...["--object", "iothread,id=io0"],
    ...["--blockdev", "driver=file,node-name=f0,filename=disk.img"],
    ...security,
    ...["--export", "nbd,id=e0,node-name=f0,name=d,iothread=io0,writable=on"],
  ]);
  expect(daemon.stderr()).not.toContain("quiesce:");
  return daemon;
}

async function freePort(): Promise<number> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** It ends well; its recording replays, is without a finding, and knows nothing that it must not. */
async function endsWell(daemon: RunningDaemon): Promise<void> {
  daemon.process.kill("SIGTERM");
  expect(await daemon.ended).toBe(0);
  const trace = daemon.trace();
  const known = writtenDown(trace);
  for (const secret of [PASSWORD, "laptop.example.com", "alice", contents.subarray(0, 16)])
    expect(known.includes(secret)).toBe(false);
  await expectSound(trace);
  removeFolder(daemon.folder);
}

const ALLOWED = JSON.stringify({
  "qom-type": "authz-list",
  id: "az",
  rules: [{ match: "C=GB,*", policy: "allow", format: "glob" }],
});

describe.skipIf(!haveTools("openssl", "nbdinfo", "nbdcopy", "qemu-img"))("TLS with X.509", () => {
  it("serves those with the right papers, and nobody else", async () => {
    const { daemon, port } = await serveX509("--object", ALLOWED);
    const uri = (certificates: string) =>
      `nbds://localhost:${port}/d?tls-certificates=${at(certificates)}`;
    expect(await tool("nbdcopy", uri("pki"), at("copy"))).toMatchObject({ status: 0, stderr: "" });
    expect(readFileSync(at("copy")).equals(contents)).toBe(true);
    const info = await tool(
      "qemu-img",
      ...[
        "info",
        "--object",
        `tls-creds-x509,id=t0,dir=${at("pki")},endpoint=client`,
        "--image-opts",
      ],
      `driver=nbd,host=localhost,port=${port},export=d,tls-creds=t0`,
    );
    expect(info.stdout).toContain("virtual size: 1 MiB");
    const stranger = await tool("nbdinfo", uri("other"));
    expect(stranger.status).not.toBe(0);
    const careless = await tool("nbdinfo", `${uri("other")}&tls-verify-peer=false`);
    expect(careless.status).not.toBe(0);
    const plain = await tool("nbdinfo", `nbd://localhost:${port}/d`);
    expect(plain.status).not.toBe(0);
    expect(plain.stdout).not.toContain("export");
    await endsWell(daemon);
  });

  it("asks the list of who is let in, whenever a client comes", async () => {
    const { daemon, port } = await serveX509();
    const uri = `nbds://localhost:${port}/d?tls-certificates=${at("pki")}`;
    const qmp = await QmpClient.connect(join(daemon.folder, "qmp.sock"));
    await qmp.next();
    await qmp.run("qmp_capabilities");
    const size = async () => (await tool("nbdinfo", "--size", uri)).stdout.trim();
    expect(await size()).toBe("");
    const glob = { match: "*CN=laptop.?xample.com", policy: "allow", format: "glob" };
    const list = { "qom-type": "authz-list", id: "az", policy: "deny", rules: [glob] };
    expect(await qmp.run("object-add", list)).toEqual({ return: {} });
    expect(await size()).toBe("1048576");
    await qmp.run("object-del", { id: "az" });
    expect(await size()).toBe("");
    const simple = { "qom-type": "authz-simple", id: "az", identity: CLIENT_NAME };
    await qmp.run("object-add", simple);
    expect(await size()).toBe("1048576");
    // Secrets over QMP; the credentials that are in use outlive their object.
    const secret = { "qom-type": "secret", id: "pw2", data: PASSWORD };
    expect(await qmp.run("object-add", secret)).toEqual({ return: {} });
    const creds = { "qom-type": "tls-creds-x509", id: "t1", dir: at("pki"), endpoint: "server" };
    expect(await qmp.run("object-add", creds)).toMatchObject({ error: { class: "GenericError" } });
    const unlocked = { ...creds, passwordid: "pw2" };
    expect(await qmp.run("object-add", unlocked)).toEqual({ return: {} });
    for (const id of ["pw2", "t1", "t0"])
      expect(await qmp.run("object-del", { id })).toEqual({ return: {} });
    expect(await size()).toBe("1048576");
    qmp.close();
    daemon.process.kill("SIGTERM");
    expect(await daemon.ended).toBe(0);
    const known = writtenDown(daemon.trace());
    expect(known.includes(PASSWORD)).toBe(false);
    expect(known.includes("sealed-1")).toBe(true);
    await expectSound(daemon.trace());
    removeFolder(daemon.folder);
  });
});

describe.skipIf(!haveTools("nbdinfo", "nbdcopy", "qemu-img"))("TLS with pre-shared keys", () => {
  it("serves those that have the key", async () => {
    const daemon = await serve([
      ...["--object", `tls-creds-psk,id=t0,dir=${at("psk")},endpoint=server`],
      ...["--nbd-server", "addr.type=unix,addr.path=nbd.sock,tls-creds=t0"],
    ]);
    const socket = join(daemon.folder, "nbd.sock");
    const uri = (user: string, keys: string) =>
      `nbds+unix://${user}@/d?socket=${socket}&tls-psk-file=${at(keys)}`;
    const other = randomBytes(contents.length);
    writeFileSync(at("other.img"), other);
    const copied = await tool("nbdcopy", at("other.img"), uri("alice", "psk/keys.psk"));
    expect(copied).toMatchObject({ status: 0, stderr: "" });
    const creds = `tls-creds-psk,id=t0,dir=${at("psk")},endpoint=client,username=alice`;
    const image = `driver=nbd,server.type=unix,server.path=${socket},export=d,tls-creds=t0`;
    const convert = [
      "convert",
      "--object",
      creds,
      "--image-opts",
      image,
      "-O",
      "raw",
      at("back.img"),
    ];
    expect(await tool("qemu-img", ...convert)).toMatchObject({ status: 0, stderr: "" });
    expect(readFileSync(at("back.img")).equals(other)).toBe(true);
    for (const [user, keys] of [
      ["alice", "wrong.psk"],
      ["mallory", "psk/keys.psk"],
    ] as const)
      expect((await tool("nbdinfo", uri(user, keys))).status).not.toBe(0);
    await endsWell(daemon);
  });
});

describe("credentials and lists that cannot be used", () => {
  it.each([
    ["tls-creds-x509,id=t,endpoint=server", "Missing 'dir' property value"],
    ["tls-creds-x509,id=t,endpoint=server,dir=nosuch", "nosuch/ca-cert.pem: No such file"],
    ["tls-creds-psk,id=t,endpoint=server,dir=nosuch", "nosuch/keys.psk: No such file"],
    ["tls-creds-psk,id=t,dir=x,endpoint=server,username=u", "username should not be set"],
    ["secret,id=s", "Either 'file' or 'data' must be provided"],
    ["secret,id=s,data=x,file=y", "'file' and 'data' are mutually exclusive"],
    ["secret,id=s,data=%%,format=base64", "no valid base64"],
    ["secret,id=s,file=nosuch", "Unable to read nosuch: No such file"],
    ["secret,id=s,data=x,keyid=k,iv=x", "No secret with id 'k'"],
  ])("%s: %s", async (object, why) => {
    const { code, stderr } = await quiesce(["daemon", "--object", object]);
    expect(code).toBe(2);
    expect(stderr).toContain(why);
    expect(stderr).not.toContain("data=x");
  });

  it.each([
    ["tls-creds=nosuch", "No TLS credentials with id 'nosuch'"],
    ["tls-creds=az", "Object with id 'az' is not TLS credentials"],
    ["tls-creds=c", "Expected TLS credentials for a server endpoint"],
    ["tls-creds=s,tls-authz=az", "'tls-authz' needs 'tls-creds' by which clients prove"],
    ["tls-authz=az", "'tls-authz' needs 'tls-creds' by which clients prove"],
  ])("--nbd-server %s: %s", async (options, why) => {
    const objects = [
      "authz-simple,id=az,identity=x",
      `tls-creds-psk,id=c,dir=${at("psk")},username=alice`,
      `tls-creds-psk,id=s,dir=${at("psk")},endpoint=server`,
    ].flatMap((text) => ["--object", text]);
    const server = ["--nbd-server", `addr.type=unix,addr.path=${at("x.sock")},${options}`];
    const { code, stderr } = await quiesce(["daemon", ...objects, ...server]);
    expect(code).toBe(2);
    expect(stderr).toContain(why);
  });
});
