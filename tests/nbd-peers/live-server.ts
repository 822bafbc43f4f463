// A live, recorded NBD server in this process, and the tools that are its clients.

import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LiveHost, runLive } from "#daemon";
import { headerOf, prepareRun, schedulerNamed } from "#explorer";
import { MemorySink, Recorder } from "#tracer";
import { FORMAT_VERSION } from "#traces";
import { type ServedImage, servedImage } from "../../daemon/nbd/test-support.ts";

/** A server that runs, and its folder, which has the image. */
export interface LiveServer {
  readonly folder: string;
  readonly image: string;
  /** `nbd+unix:` and where the export is. */
  readonly uri: string;
  readonly socket: string;
  /** End it; the recording. */
  stop(): Promise<{ readonly outcome: string; readonly bytes: Uint8Array }>;
}

/** A folder of its own, with whatever `fill` puts there. */
export function newFolder(): string {
  return mkdtempSync(join(tmpdir(), "quiesce-nbd-"));
}

/** Serve `image` of `folder` until it is stopped. */
export async function serveLive(
  folder: string,
  options: Omit<Partial<ServedImage>, "address" | "stop"> = {},
): Promise<LiveServer> {
  const socket = join(folder, "nbd.sock");
  const stopAt = join(folder, "stop.sock");
  let listens = () => {};
  const listening = new Promise<void>((resolve) => {
    listens = resolve;
  });
  const scenario = servedImage({
    ...options,
    address: { type: "unix", path: socket },
    stop: { type: "unix", path: stopAt },
    onListening: () => listens(),
  });
  const run = { seed: 1, imagesDir: folder };
  const header = headerOf(scenario, run, {
    host: "live",
    level: "full",
    coreVersion: "",
    formatVersion: FORMAT_VERSION,
    provenance: { createdAt: "", host: "", node: "", quiesce: "" },
  });
  const sink = new MemorySink(header);
  const recorder = new Recorder(sink);
  const host = new LiveHost();
  const scheduler = schedulerNamed("default", 1);
  const over = runLive(
    prepareRun(scenario, run, { host, clients: host, scheduler, probe: recorder }),
  );
  await Promise.race([listening, over]);
  return {
    folder,
    image: join(folder, "image"),
    uri: `nbd+unix:///disk?socket=${socket}`,
    socket,
    async stop() {
      await connectOnce(stopAt);
      const outcome = await over;
      recorder.close();
      rmSync(folder, { recursive: true });
      return { outcome, bytes: sink.bytes() };
    },
  };
}

async function connectOnce(path: string): Promise<void> {
  while (!existsSync(path)) await new Promise((resolve) => setTimeout(resolve, 5));
  await new Promise<void>((resolve, reject) => {
    const socket = net.connect(path, () => socket.end());
    socket.on("close", () => resolve());
    socket.on("error", reject);
  });
}

/** What a tool printed, and how it ended. */
export interface ToolResult {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Run a tool of Debian's while the server of this process works. */
export function tool(command: string, ...args: string[]): Promise<ToolResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (chunk: Buffer) => {
      stdout += chunk.toString();
    });
    child.stderr.on("data", (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    child.on("error", reject);
    child.on("close", (status) => resolve({ status, stdout, stderr }));
  });
}

/** Whether all of these tools are installed; scripts/setup/test.mjs sees to it where it can. */
export function haveTools(...names: string[]): boolean {
  const path = (process.env.PATH ?? "").split(":");
  return names.every((name) => path.some((folder) => existsSync(join(folder, name))));
}
