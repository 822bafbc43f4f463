// The daemon as a process: in the background, under a supervisor, told by signals, and recorded so that a crash loses little.

import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ONE_SENTENCE, quiesce } from "../cli/test-support.ts";
import { recordingsIn, soundnessOfDaemon } from "../record-replay/index.ts";
import {
  daemonFolder,
  expectAllSound,
  expectSound,
  qmpClient,
  RawClient,
  removeFolder,
  startDaemon,
} from "./running-daemon.ts";

const PROGRAM = join(import.meta.dirname, "..", "..", "bin", "quiesce");

let folder: string;
const at = (name: string) => join(folder, name);
beforeEach(() => {
  folder = daemonFolder();
});
afterEach(() => removeFolder(folder));

const DISK = ["--blockdev", "null-co,node-name=n0,size=1048576"];

async function reached(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((go) => setTimeout(go, 20));
}

const pidIn = (name: string) => Number(readFileSync(at(name), "utf8"));

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe("a daemon that nobody can talk to", () => {
  it("waits for a signal", () => {
    const { status, stderr } = spawnSync(
      "timeout",
      ["-s", "TERM", "3", PROGRAM, "daemon", ...DISK],
      {
        cwd: folder,
        encoding: "utf8",
      },
    );
    // 124: timeout had to send its signal.
    expect([status, stderr]).toEqual([124, ""]);
  });
});

describe("quiesce daemon --daemonize", () => {
  const monitor = ["--chardev", "socket,id=c,path=qmp.sock,server=on,wait=off", "--monitor", "c"];

  it("comes back when all is ready, and goes on in the background", async () => {
    const args = ["daemon", ...DISK, ...monitor, "--pidfile", "pid", "--daemonize"];
    const logged = ["--log-file", "log", "--log-level", "info", "--log-format", "json"];
    const first = spawnSync(PROGRAM, [...args, ...logged], { cwd: folder, encoding: "utf8" });
    expect([first.status, first.stderr]).toEqual([0, ""]);
    const pid = pidIn("pid");
    expect(pid).not.toBe(first.pid);
    const second = await quiesce(["daemon", "--pidfile", at("pid")]);
    expect(second.stderr).toContain(`cannot create PID file: process ${pid} has '${at("pid")}'`);
    const qmp = await qmpClient(at("qmp.sock"));
    expect(await qmp.execute("query-named-block-nodes")).toMatchObject([{ "node-name": "n0" }]);
    await qmp.execute("quit");
    await reached(() => !isAlive(pid));
    expect(existsSync(at("pid"))).toBe(false);
    const lines = readFileSync(at("log"), "utf8").trim().split("\n");
    const messages = lines.map((line) => JSON.parse(line) as { msg: string; level: number });
    expect(messages.map(({ msg }) => msg)).toEqual(["ready", "stopping", "SHUTDOWN", "ended"]);
    expect(messages[0]).toMatchObject({ level: 30, pid, time: expect.any(Number) });
  });

  it("takes a pidfile that a killed process left, though another one has its id now, and leaves a device where it is", async () => {
    const ended = async (pidfile: string): Promise<string> => {
      const args = ["daemon", ...DISK, "--log-level", "info", "--pidfile", pidfile];
      const child = spawn(PROGRAM, args, { cwd: folder });
      let stderr = "";
      child.stderr.on("data", (chunk: Buffer) => {
        stderr += chunk.toString();
        if (chunk.toString().includes(" ready ")) child.kill("SIGTERM");
      });
      await new Promise((go) => child.once("close", go));
      return stderr;
    };
    writeFileSync(at("pid"), `${process.pid}\n`);
    expect(await ended("pid")).toContain("info ended");
    expect(existsSync(at("pid"))).toBe(false);
    expect(await ended("/dev/null")).toContain("info ended");
    expect(existsSync("/dev/null")).toBe(true);
    expect(await ended(".")).toMatch(/\nquiesce: [^\n]+\.\n$/);
  });

  it("says what is wrong, with the exit code, and leaves nothing", () => {
    const args = ["daemon", "--blockdev", "file,node-name=a,filename=none", "--daemonize"];
    const first = spawnSync(PROGRAM, args, { cwd: folder, encoding: "utf8" });
    expect(first.status).toBe(2);
    expect(first.stderr).toContain("Could not open 'none'");
    expect(first.stderr.trim().split("\n")).toHaveLength(1);
  });
});

describe("quiesce daemon and its supervisor", () => {
  it("takes a socket that was handed over, and tells that it is ready and that it ends", async () => {
    // The tool that Node needs for the message, in place of systemd's: it notes what it is to say.
    mkdirSync(at("bin"));
    writeFileSync(at("bin/systemd-notify"), `#!/bin/sh\necho "$2" >> ${at("said")}\n`, {
      mode: 0o755,
    });
    const server = net.createServer();
    await new Promise<void>((go) => server.listen(0, "127.0.0.1", go));
    const { port } = server.address() as net.AddressInfo;
    const handle = (server as unknown as { _handle: { fd: number } })._handle;
    const served = ["--nbd-server", "addr.type=fd,addr.str=disks"];
    const exported = ["--export", "nbd,id=e0,node-name=n0"];
    const child = spawn(
      "/bin/sh",
      ["-c", 'LISTEN_PID=$$ exec "$@"', "sh", PROGRAM, "daemon", ...DISK, ...served, ...exported],
      {
        cwd: folder,
        stdio: ["ignore", "ignore", "pipe", handle.fd],
        env: {
          ...process.env,
          ...{ LISTEN_FDS: "1", LISTEN_FDNAMES: "disks", NOTIFY_SOCKET: at("notify") },
          PATH: `${at("bin")}:${process.env.PATH}`,
        },
      },
    );
    const ended = new Promise((go) => child.once("exit", go));
    await reached(() => existsSync(at("said")) || child.exitCode !== null);
    server.close();
    const client = net.connect(port, "127.0.0.1");
    const greeting = await new Promise<Buffer>((go) => client.once("data", go));
    expect(greeting.subarray(0, 8).toString()).toBe("NBDMAGIC");
    client.destroy();
    child.kill("SIGTERM");
    expect(await ended).toBe(0);
    expect(readFileSync(at("said"), "utf8")).toBe("READY=1\nSTOPPING=1\n");
  });

  it("refuses a name that is not among the sockets handed over", async () => {
    const { code, stderr } = await quiesce([
      ...["daemon", "--nbd-server", "addr.type=fd,addr.str=disks"],
    ]);
    expect([code, stderr]).toEqual([
      2,
      expect.stringContaining("there is no socket called 'disks' among those handed over"),
    ]);
  });
});

describe("the recording of a daemon", () => {
  it("has nearly all when the process is killed", async () => {
    const daemon = await startDaemon(folder, DISK);
    const qmp = await qmpClient(at("qmp.sock"));
    await qmp.execute("blockdev-add", { driver: "null-co", "node-name": "last" });
    // A second, and what a busy machine takes.
    await new Promise((go) => setTimeout(go, 4000));
    daemon.process.kill("SIGKILL");
    expect(await daemon.ended).toBe("SIGKILL");
    const dump = await quiesce(["dump", daemon.trace()]);
    expect(dump.code).toBe(3);
    expect(dump.stdout).toContain("revealed");
    const replay = await quiesce(["replay", daemon.trace(), "-o", at("full.trace"), "--json"]);
    expect(JSON.parse(replay.stdout)).toMatchObject({ identical: true });
    expect((await quiesce(["dump", at("full.trace")])).stdout).toContain('name="last"');
    await expectSound(daemon.trace());
  });

  it("does not keep the next one from its sockets, as the file of another kind does", async () => {
    const first = await startDaemon(folder, DISK);
    first.process.kill("SIGKILL");
    await first.ended;
    expect(existsSync(at("qmp.sock"))).toBe(true);
    const second = await startDaemon(folder, DISK);
    // What is there may still be the socket of the first.
    const connect = () => qmpClient(at("qmp.sock")).catch(() => null);
    let qmp = await connect();
    for (; qmp === null; qmp = await connect()) await new Promise((go) => setTimeout(go, 50));
    await qmp.execute("quit");
    expect(await second.ended).toBe(0);
    await expectAllSound(folder);
    writeFileSync(at("file"), "not ours");
    const argv = ["--nbd-server", `addr.type=unix,addr.path=${at("file")}`];
    const refused = spawnSync(PROGRAM, ["daemon", ...DISK, ...argv], { encoding: "utf8" });
    expect([refused.status, refused.stderr]).toEqual([
      2,
      expect.stringContaining("already in use"),
    ]);
    expect(readFileSync(at("file"), "utf8")).toBe("not ours");
  });

  it("is written on SIGUSR1, the last events alone where there is a ring", async () => {
    const daemon = await startDaemon(folder, [
      ...[...DISK, "--ring", "40"],
      ...["--log-level", "info"],
    ]);
    const qmp = await qmpClient(at("qmp.sock"));
    await qmp.execute("blockdev-add", { driver: "null-co", "node-name": "last" });
    expect(readdirSync(at("traces"))).toEqual([]);
    daemon.process.kill("SIGUSR1");
    await reached(() => daemon.stderr().includes("recording written"));
    const dump = await quiesce(["dump", daemon.trace()]);
    expect(dump.stdout).toContain('name="last"');
    const first = Number(/# (\d+)$/m.exec(dump.stdout)?.[1]);
    expect(first).toBeGreaterThan(0);
    expect(dump.stdout.trimEnd().split("\n").length).toBeLessThanOrEqual(51);
    // Such a trace has no beginning, where a replay would begin; it can be judged, with a grain of salt.
    const lacking = `The trace has only the last events of its run (daemon --ring), from event ${first} on`;
    for (const verb of [["replay"], ["replay", "--to", `${first}`]]) {
      const replay = await quiesce([...verb, daemon.trace()]);
      expect(replay).toMatchObject({
        code: 3,
        stdout: "",
        stderr: expect.stringMatching(ONE_SENTENCE),
      });
      expect(replay.stderr).toContain(`${lacking}, and a replay begins at the beginning`);
    }
    const predicted = await quiesce(["races", daemon.trace(), "--predict", "osr"]);
    expect(predicted.stderr).toContain(
      "is a recording of a daemon, whose clients and files are not",
    );
    const races = await quiesce(["races", daemon.trace()]);
    expect([races.code, races.stderr]).toEqual([
      3,
      `quiesce: ${daemon.trace()}: ${lacking}; what had begun before is not known.\n`,
    ]);
    expect(races.stdout.replace(/\s+/g, " ")).toContain(
      `note: The trace has only the last events of its run. Events are counted from the first of them, which dump, counting those of the run, calls ${first}.`,
    );
    await qmp.execute("quit");
    expect(await daemon.ended).toBe(0);
    expect(daemon.stderr()).toContain(`recording written file="${daemon.trace()}"`);
  });
});

describe("a daemon whose recording cannot be written", () => {
  it("says so on SIGUSR1, and goes on", async () => {
    const daemon = await startDaemon(folder, [...DISK, "--ring", "40"]);
    const qmp = await qmpClient(at("qmp.sock"));
    for (const times of [1, 2]) {
      rmSync(at("traces"), { recursive: true, force: true });
      daemon.process.kill("SIGUSR1");
      await reached(() => daemon.stderr().split("there is no such file").length === times + 1);
    }
    await qmp.execute("blockdev-add", { driver: "null-co", "node-name": "n1" });
    await qmp.execute("quit");
    expect(await daemon.ended).toBe(0);
  });

  it("says once that its disk is full, serves on, and ends with 3", async () => {
    // A limit on the length of files stands for the disk; the header of a trace is longer.
    const script = `trap '' XFSZ; ulimit -f 8; exec "$0" "$@"`;
    const monitor = ["--chardev", "socket,id=c,path=qmp.sock,server=on", "--monitor", "c"];
    const args = [PROGRAM, "daemon", ...DISK, ...monitor, "--record", "traces", "--level", "full"];
    const env = { ...process.env, QUIESCE_NO_BUILD: "1" };
    const child = spawn("bash", ["-c", script, ...args, "--pidfile", "pid"], { cwd: folder, env });
    let stderr = "";
    child.stderr.on("data", (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    const ended = new Promise((go) => child.once("exit", go));
    await reached(() => existsSync(at("pid")) || child.exitCode !== null);
    const qmp = await qmpClient(at("qmp.sock"));
    await reached(() => stderr.includes("the recording has ended"));
    await qmp.execute("blockdev-add", { driver: "null-co", "node-name": "n1" });
    child.kill("SIGUSR1");
    await reached(() => stderr.split("the recording has ended").length === 3);
    await qmp.execute("quit");
    expect(await ended).toBe(3);
    expect(stderr).toMatch(/quiesce: Recording stopped early because .*: the trace holds/);
  });
});

describe("a daemon whose option is refused", () => {
  it("gives back what came before, and leaves a recording of a whole run", async () => {
    const socket = at("nbd.sock");
    const before = [...DISK, "--nbd-server", `addr.type=unix,addr.path=${socket}`];
    const wrong = ["--blockdev", "file,node-name=f,filename=nosuch"];
    const { code, stderr } = await quiesce([
      "daemon",
      ...before,
      ...wrong,
      "--log-level",
      "info",
      "--record",
      at("traces"),
    ]);
    expect(code).toBe(2);
    expect(stderr).toMatch(
      /^quiesce: --blockdev [^\n]*: Could not open 'nosuch': No such file or directory\n$/,
    );
    expect(existsSync(socket)).toBe(false);
    const [trace = ""] = recordingsIn(at("traces"));
    expect(soundnessOfDaemon(trace)).toMatchObject({ complete: true, problems: [] });
    const { stdout } = await quiesce(["replay", trace, "--json"]);
    expect(JSON.parse(stdout)).toMatchObject({ identical: true, complete: true });
  });
});

describe("monitors of a daemon", () => {
  it("do not hold up its end when their client does not read", async () => {
    const daemon = await startDaemon(folder, DISK);
    // Nobody listens to what comes on this socket, so nothing is read from it.
    const deaf = net.connect(at("qmp.sock"));
    deaf.on("error", () => undefined);
    deaf.write(`{"execute": "qmp_capabilities"}${'{"execute": "query-qmp-schema"}'.repeat(20)}`);
    await new Promise((go) => setTimeout(go, 1500));
    daemon.process.kill("SIGTERM");
    expect(await daemon.ended).toBe(0);
    deaf.destroy();
    await expectSound(daemon.trace());
  });

  it("are several at a time, on sockets and on standard input, out of band too", async () => {
    const daemon = await startDaemon(folder, [
      ...[...DISK, "--chardev", "socket,id=two,host=127.0.0.1,port=0,server=on"],
      ...["--chardev", "socket,id=b,path=b.sock,server=on,wait=off"],
      ...["--monitor", "two", "--monitor", "chardev=b,pretty=on"],
    ]);
    const one = await qmpClient(at("qmp.sock"));
    const other = new RawClient(at("b.sock"));
    const END = "\r\n}\r\n";
    expect(await other.upTo(END)).toContain('\r\n    "QMP": {\r\n        "version": {');
    other.write('{"execute": "qmp_capabilities", "arguments": {"enable": ["oob"]}}');
    expect(await other.upTo(END)).toBe('{\r\n    "return": {}\r\n}\r\n');
    await one.execute("blockdev-add", { driver: "null-co", "node-name": "seen" });
    other.write('{"exec-oob": "query-version", "id": [1]}');
    expect(await other.upTo(END)).toContain("The command query-version does not support OOB");
    other.write('{"execute": "query-named-block-nodes", "id": "x"}');
    expect(await other.upTo(END)).toContain('"node-name": "seen"');
    await one.execute("quit");
    expect(await other.upTo(END)).toContain('"event": "SHUTDOWN"');
    expect(await daemon.ended).toBe(0);
    await expectSound(daemon.trace());
  });

  it.each([
    [["--trace", "bdrv_*"], "use --record DIR"],
    [["--chardev", "socket,id=a,path=x,wait=off"], "'wait' option is incompatible"],
    [["--monitor", "chardev=a,mode=readline"], "Only QMP is supported"],
    [["--drive", "file=x.qcow2"], "Parameter 'id' is missing"],
    [["--drive", "id=d,file=none,format=raw"], "Could not open 'none'"],
    [["--ring", "many"], "a number of events"],
    [["--poll-max-ns", "long"], "a number of nanoseconds"],
    [["--poll-max-ns", "100000001"], "up to 100000000"],
    [["--ring", "20"], "--ring is for a recording: say --record DIR, too."],
    [["--level", "inputs"], "--level is for a recording: say --record DIR, too."],
    [["--ring", "20", "--record", "d", "--level", "inputs"], "--ring keeps all events"],
    [
      ["--chardev", "socket,id=a,path=/none/a,server=on", "--monitor", "a"],
      "Failed to bind socket to /none/a: No such file or directory",
    ],
    [
      ["--chardev", "socket,id=a,path=/none/a", "--monitor", "a"],
      "Failed to connect to '/none/a': No such file or directory",
    ],
  ])("%s is refused with one sentence", async (args, why) => {
    const { code, stderr } = await quiesce(["daemon", ...args]);
    expect([code, stderr]).toEqual([2, expect.stringContaining(why)]);
  });
});
