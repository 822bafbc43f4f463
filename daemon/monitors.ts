// Character devices and the monitors on them: --chardev and --monitor.
//
// A chardev is a socket that listens, a socket that connects, or standard input and output. A monitor has one client at a time;
// several monitors are on several chardevs, as in QEMU. Differs from QEMU: a socket that listens is not waited at until somebody
// connects, unless `wait=on` says so.

import { EINVAL, type HostHandle, strerror } from "#core/base";
import { BlockError } from "#core/graph";
import { site } from "#core/probe";
import {
  aioCoEnter,
  aioWaitKick,
  aioWaitWhileUnlocked,
  type Co,
  machine,
  type Polls,
  qemuCoroutineCreate,
  type SocketAddress,
  socketAccept,
  socketClient,
  socketConnect,
  socketListener,
} from "#core/sched";
import { socketAddressOf } from "./commands/export-commands.ts";
import { VERSION } from "./commands/misc-commands.ts";
import { IDENTIFIER, IDENTIFIER_HINT } from "./commands/object-commands.ts";
import { commands } from "./commands/table.ts";
import type { JsonObject } from "./qmp/json-value.ts";
import { monitorServe, QmpMonitor } from "./qmp/monitor.ts";
import { bool, enumOf, type InputKind, optional, QmpError, str, struct } from "./qmp/schema.ts";
import type { Daemon, DaemonChardev } from "./state.ts";

const SITE_MONITOR = site("monitor_init");

const CHARDEV_MEMBERS = {
  backend: enumOf("socket", "stdio"),
  id: str,
  path: optional(str),
  host: optional(str),
  port: optional(str),
  server: optional(bool),
  wait: optional(bool),
  signal: optional(bool),
};
const chardevMembers = struct(CHARDEV_MEMBERS);

type ChardevOptions = ReturnType<typeof chardevMembers.read>;

const BACKENDS: readonly unknown[] = ["socket", "stdio"];

/** What --chardev says. QEMU reads this option in another way than the others, and so in other words. */
export function chardevOptions(value: JsonObject, kind: InputKind): ChardevOptions {
  const [id, backend] = [value.get("id"), value.get("backend")];
  if (typeof id === "string" && !IDENTIFIER.test(id))
    throw new BlockError(EINVAL, "Parameter 'id' expects an identifier", IDENTIFIER_HINT);
  const unknown = [...value.keys()].find((name) => !(name in CHARDEV_MEMBERS));
  if (unknown !== undefined) throw new QmpError(`Invalid parameter '${unknown}'`);
  if (id === undefined) throw new QmpError("chardev: no id specified");
  if (backend === undefined) throw new QmpError(`chardev: "${id}" missing backend`);
  if (!BACKENDS.includes(backend))
    throw new QmpError(`'${backend}' is not a valid char driver name`);
  return chardevMembers.read(value, "", kind);
}

/** qemu_chr_new_from_opts. */
export function chardevOf(options: ChardevOptions): DaemonChardev {
  const { backend, id, path, host, port, server: isServer = false, wait } = options;
  if (backend === "stdio")
    return { id, address: { type: "stdio" }, isServer: false, waits: false, isUsed: false };
  if (wait !== undefined && !isServer)
    throw new QmpError("'wait' option is incompatible with socket in client connect mode");
  if ((path === undefined) === (host === undefined))
    throw new QmpError("a chardev of kind socket needs either 'path' or 'host' and 'port'");
  if (host !== undefined && port === undefined)
    throw new QmpError("chardev: socket: no port given");
  const address = socketAddressOf(
    path === undefined
      ? { type: "inet", host: host ?? "", port: port ?? "" }
      : { type: "unix", path },
  );
  return { id, address, isServer, waits: wait === true, isUsed: false };
}

/** QAPI: MonitorOptions. */
export const monitorOptions = struct({
  chardev: str,
  id: optional(str),
  mode: optional(enumOf("control", "readline")),
  pretty: optional(bool),
});

type MonitorOptions = ReturnType<typeof monitorOptions.read>;

/** monitor_init: who connects to the chardev controls the daemon, one client after the other. Polls. */
export function* addMonitor(daemon: Daemon, options: MonitorOptions): Polls<void> {
  const { chardev: id, mode = "control", pretty = false } = options;
  if (mode !== "control") throw new QmpError("Only QMP is supported");
  const chardev = daemon.chardevs.get(id);
  if (chardev === undefined) throw new QmpError(`chardev "${id}" not found`);
  if (chardev.isUsed) throw new QmpError(`Device '${id}' is in use`);
  chardev.isUsed = true;
  const { address, isServer } = chardev;
  const socket = isServer ? socketListener(address) : socketClient(address);
  if (socket < 0) throw new QmpError(`Failed to open a socket: ${strerror(-socket)}`);
  let connected: number | null = null;
  const before = daemon.monitors.size;
  const co = qemuCoroutineCreate(function* (): Co<void> {
    const ret = yield* socketConnect(socket as HostHandle);
    connected = ret;
    aioWaitKick();
    if (ret < 0) return;
    if (isServer) yield* serveClients(daemon, socket as HostHandle, pretty);
    else yield* serveClient(daemon, socket as HostHandle, pretty);
  });
  aioCoEnter(machine.mainContext, co);
  const isAwaited = () =>
    connected === null || (connected >= 0 && chardev.waits && daemon.monitors.size === before);
  yield* aioWaitWhileUnlocked(null, isAwaited, SITE_MONITOR);
  const ret = connected ?? 0;
  if (ret < 0)
    throw new QmpError(`${isServer ? bindText(address) : connectText(address)}: ${strerror(-ret)}`);
}

function bindText(address: SocketAddress): string {
  return `Failed to bind socket${address.type === "unix" ? ` to ${address.path}` : ""}`;
}

function connectText(address: SocketAddress): string {
  if (address.type === "unix") return `Failed to connect to '${address.path}'`;
  if (address.type === "inet") return `Failed to connect to '${address.host}:${address.port}'`;
  return "Failed to connect socket";
}

function* serveClients(daemon: Daemon, listener: HostHandle, pretty: boolean): Co<void> {
  daemon.listeners.add(listener);
  while (daemon.listeners.has(listener)) {
    const socket = yield* socketAccept(listener);
    if (socket < 0) return;
    yield* serveClient(daemon, socket as HostHandle, pretty);
  }
}

function* serveClient(daemon: Daemon, socket: HostHandle, pretty: boolean): Co<void> {
  const target = { state: daemon, commands, version: VERSION, pretty, vault: daemon.vault };
  const monitor = new QmpMonitor<Daemon>(target, socket);
  daemon.monitors.add(monitor);
  aioWaitKick();
  yield* monitorServe(monitor);
  daemon.monitors.delete(monitor);
  aioWaitKick();
}
