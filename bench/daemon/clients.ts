// The clients that load a server: our own (client.ts), and programs that no one here wrote.
//
// Each says how many requests it made in how many seconds, and how busy it was: a client that has no processor time left is what
// the row measures, whatever serves it.

import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Load } from "./client.ts";

export const CLIENTS = ["own", "fio", "qemu-img bench", "nbdcopy"] as const;
export type ClientName = (typeof CLIENTS)[number];

/** What a client is told. */
export interface Order extends Omit<Load, "name"> {
  readonly client: ClientName;
  /** Bytes of the image. */
  readonly imageBytes: number;
  /** Words before its command: taskset -c 0. */
  readonly prefix: readonly string[];
}

/** What a client did. */
export interface Done {
  /** Requests that were measured, and how long they took. */
  readonly requests: number;
  readonly seconds: number;
  /** Requests that the server answered in all, the ones before the measured ones included. */
  readonly answered: number;
  /** How much of a core the client took: of the time that is measured; of another program, from its start to its end. */
  readonly busy: number;
}

/** The export of the servers. */
export const EXPORT_NAME = "bench";

/** Whether the client can do that. `qemu-img bench` has one connection and steps through the image; nbdcopy reads all of it. */
export function canDo(client: ClientName, load: Omit<Load, "socket" | "name">): boolean {
  if (client === "qemu-img bench") return load.connections === 1 && load.sequential;
  if (client === "nbdcopy") return load.sequential && !load.write;
  return true;
}

/** Load the server that `order` names. */
export function runClient(order: Order): Done {
  switch (order.client) {
    case "own":
      return runOwn(order);
    case "fio":
      return runFio(order);
    case "qemu-img bench":
      return runQemuImg(order);
    case "nbdcopy":
      return runNbdcopy(order);
  }
}

function runOwn(order: Order): Done {
  const { client: _client, imageBytes: _bytes, prefix, ...load } = order;
  const program = fileURLToPath(new URL("./client.js", import.meta.url));
  const told = JSON.stringify({ ...load, name: EXPORT_NAME } satisfies Load);
  const { text } = timed([...prefix, process.execPath, program, told]);
  return { requests: load.requests, ...(JSON.parse(text) as Omit<Done, "requests">) };
}

function runFio(order: Order): Done {
  const { write, sequential, bytes, depth, connections, requests, prefix } = order;
  const rw = `${sequential ? "" : "rand"}${write ? "write" : "read"}`;
  const { text, busy } = timed([
    ...prefix,
    ...["fio", "--name=x", "--ioengine=nbd", `--uri=${uriOf(order)}`, `--rw=${rw}`],
    ...[`--bs=${bytes}`, `--iodepth=${depth}`, `--numjobs=${connections}`, "--thread"],
    ...[`--number_ios=${Math.ceil(requests / connections)}`, `--size=${order.imageBytes}`],
    ...["--group_reporting", "--output-format=json"],
  ]);
  // It says what it connects to before the JSON begins.
  const { jobs } = JSON.parse(text.slice(text.indexOf("{\n"))) as FioOutput;
  const found = jobs[0]?.[write ? "write" : "read"];
  if (found === undefined) throw new Error("fio made no job");
  const done = found.total_ios;
  return { requests: done, seconds: found.runtime / 1000, answered: done, busy };
}

interface FioOutput {
  readonly jobs: readonly Readonly<
    Record<"read" | "write", { readonly total_ios: number; readonly runtime: number }>
  >[];
}

function runQemuImg(order: Order): Done {
  const { write, bytes, depth, requests, prefix } = order;
  const { text, busy } = timed([
    ...prefix,
    ...["qemu-img", "bench", "-f", "raw", "-c", `${requests}`, "-d", `${depth}`],
    ...["-s", `${bytes}`, ...(write ? ["-w"] : []), uriOf(order)],
  ]);
  const seconds = Number(/completed in ([\d.]+) seconds/.exec(text)?.[1]);
  return { requests, seconds, answered: requests, busy };
}

/** The whole image, as often as that takes about so many requests. */
function runNbdcopy(order: Order): Done {
  const { bytes, depth, connections, imageBytes, prefix } = order;
  const perCopy = imageBytes / bytes;
  const copies = Math.max(1, Math.round(order.requests / perCopy));
  const { seconds, busy } = timed([
    ...["sh", "-c", `for i in $(seq ${copies}); do "$@" || exit; done`, "sh"],
    ...prefix,
    ...["nbdcopy", `--connections=${connections}`, `--requests=${depth}`],
    ...[`--request-size=${bytes}`, uriOf(order), "null:"],
  ]);
  const requests = copies * perCopy;
  return { requests, seconds, answered: requests, busy };
}

function uriOf({ socket }: Order): string {
  return `nbd+unix:///${EXPORT_NAME}?socket=${socket}`;
}

/** Run a command: what it prints, and how long it took. The shell knows the processor time of what it ran. */
function timed(command: readonly string[]): Pick<Done, "busy" | "seconds"> & {
  readonly text: string;
} {
  const from = process.hrtime.bigint();
  const all = execFileSync("sh", ["-c", '"$@" && times', "sh", ...command], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  const seconds = Number(process.hrtime.bigint() - from) / 1e9;
  // The last line has the user and system time of what the shell ran, the one before the shell's own.
  const lines = all.trimEnd().split("\n");
  const cpu = [...(lines.at(-1) ?? "").matchAll(/(\d+)m([\d.]+)s/g)]
    .map(([, minutes, rest]) => 60 * Number(minutes) + Number(rest))
    .reduce((sum, one) => sum + one, 0);
  return { text: lines.slice(0, -2).join("\n"), seconds, busy: cpu / seconds };
}
