// The daemon: options in their order, then the main loop until somebody says quit, then everything given back in QEMU's order.
//
// It is a program on the block layer like any scenario, so a recording of a daemon is replayed like one: its options are in the
// header of the trace, and all that clients said came through the door.

import { type HostHandle, QuiesceError, strerror } from "#core/base";
import { BlockError, bdrvUnref } from "#core/graph";
import { bdrvDrainAllBegin, bdrvDrainAllEnd } from "#core/io";
import { jobCancelSyncAll } from "#core/jobs";
import { site } from "#core/probe";
import {
  aioCoEnter,
  aioPoll,
  aioRemoveFdHandler,
  aioSetFdHandler,
  aioWaitKick,
  aioWaitWhileUnlocked,
  type Co,
  iothreadStopJoin,
  machine,
  type Polls,
  qemuCoroutineCreate,
  socketAccept,
  socketClient,
  socketClose,
  socketConnect,
  socketListener,
} from "#core/sched";
import { blockdevOptions } from "./blockdev-options.ts";
import { editCommands } from "./commands/edit-commands.ts";
import {
  addExport,
  exportCommands,
  exportOptions,
  nbdServerOptions,
  removeExport,
  socketAddressOf,
  startNbdServer,
} from "./commands/export-commands.ts";
import { hmpCommands } from "./commands/hmp-command.ts";
import { jobCommands } from "./commands/job-commands.ts";
import { mirrorCommands } from "./commands/mirror-command.ts";
import { miscCommands, VERSION } from "./commands/misc-commands.ts";
import { addBlockdev, nodeCommands } from "./commands/node-commands.ts";
import { addObject, objectCommands, objectOptions } from "./commands/object-commands.ts";
import { queryCommands } from "./commands/query-commands.ts";
import { snapshotActions, snapshotCommands } from "./commands/snapshot-commands.ts";
import { transactionCommands } from "./commands/transaction-command.ts";
import { emitEvent, forwardEvents } from "./events.ts";
import { nbdServerStop } from "./nbd/index.ts";
import { commandTable, type QmpCommands } from "./qmp/dispatch.ts";
import { jsonText } from "./qmp/json-value.ts";
import { monitorClose, monitorIsFlushed, monitorServe, QmpMonitor } from "./qmp/monitor.ts";
import { bool, enumOf, optional, QmpError, str, struct } from "./qmp/schema.ts";
import { Daemon, type DaemonChardev, type DaemonOption, veiledOption } from "./state.ts";

const SITE_MONITOR = site("monitor_init");
const SITE_CLEANUP = site("monitor_cleanup");
const SITE_SHUTDOWN = site("qsd_shutdown");

/** What the daemon is told from outside, and tells. */
export interface DaemonParts {
  readonly options: readonly DaemonOption[];
  /** Nanoseconds since 1970 when the run begins: events say what time of the day it is. */
  readonly epochNs: number;
  /** All options are done. `quitHandler` is the number of the fd handler that ends the daemon when it becomes ready. */
  readonly onReady: (quitHandler: number) => void;
  /** A line for the standard output: what commands of qemu-io and breakpoints say. */
  readonly print: (line: string) => void;
}

const commands: QmpCommands<Daemon> = commandTable(
  miscCommands(() => [...commands.keys()]),
  nodeCommands,
  queryCommands,
  editCommands,
  snapshotCommands,
  transactionCommands(snapshotActions),
  objectCommands,
  exportCommands,
  jobCommands,
  mirrorCommands,
  hmpCommands,
);

/** main (storage-daemon/qemu-storage-daemon.c:395), after the command line was read. Polls. */
export function* daemonMain(parts: DaemonParts): Polls<void> {
  const daemon = new Daemon(parts.epochNs, parts.print);
  forwardEvents(daemon);
  const quit = aioSetFdHandler(machine.mainContext, false, () => {
    daemon.quitReason ??= "host-signal";
    return undefined;
  });
  for (const option of parts.options) yield* carryOut(daemon, option);
  parts.onReady(quit.id);
  while (daemon.quitReason === null) yield* aioPoll(machine.mainContext, true);
  yield* shutDown(daemon);
  aioRemoveFdHandler(quit);
}

/** One option, as the command that it stands for; a refusal is the user's mistake, in one sentence. Polls. */
function* carryOut(daemon: Daemon, option: DaemonOption): Polls<void> {
  try {
    yield* apply(daemon, option);
  } catch (error) {
    if (!(error instanceof BlockError || error instanceof QmpError)) throw error;
    const { name, value } = veiledOption(option);
    throw new QuiesceError("usage", `--${name} ${jsonText(value)}: ${error.message}`);
  }
}

function* apply(daemon: Daemon, { name, value, isText }: DaemonOption): Polls<void> {
  const kind = isText ? "keyval" : "json";
  switch (name) {
    case "blockdev":
      yield* addBlockdev(daemon, blockdevOptions.read(value, "", kind));
      return;
    case "object":
      yield* addObject(daemon, objectOptions.read(value, "", kind), null);
      return;
    case "nbd-server": {
      const options = nbdServerOptions.read(value, "", kind);
      yield* startNbdServer(daemon, socketAddressOf(options.addr), options);
      return;
    }
    case "export":
      yield* addExport(daemon, exportOptions.read(value, "", kind));
      return;
    case "chardev": {
      const chardev = chardevOf(chardevOptions.read(value, "", kind));
      if (daemon.chardevs.has(chardev.id))
        throw new QmpError(`Duplicate ID '${chardev.id}' for chardev`);
      daemon.chardevs.set(chardev.id, chardev);
      return;
    }
    case "monitor":
      yield* addMonitor(daemon, monitorOptions.read(value, "", kind));
  }
}

const chardevOptions = struct({
  backend: enumOf("socket", "stdio"),
  id: str,
  path: optional(str),
  host: optional(str),
  port: optional(str),
  server: optional(bool),
  wait: optional(bool),
  signal: optional(bool),
});

function chardevOf(options: ReturnType<typeof chardevOptions.read>): DaemonChardev {
  const { backend, id, path, host, port, server = false } = options;
  if (backend === "stdio")
    return { id, address: { type: "stdio" }, isServer: false, isUsed: false };
  if ((path === undefined) === (host === undefined))
    throw new QmpError("a chardev of kind socket needs either 'path' or 'host' and 'port'");
  const address = socketAddressOf(
    path === undefined
      ? { type: "inet", host: host ?? "", port: port ?? "" }
      : { type: "unix", path },
  );
  return { id, address, isServer: server, isUsed: false };
}

const monitorOptions = struct({
  chardev: str,
  id: optional(str),
  mode: optional(enumOf("control")),
  pretty: optional(bool),
});

/** monitor_init: who connects to the chardev controls the daemon, one client after the other. Polls. */
function* addMonitor(
  daemon: Daemon,
  { chardev: id }: ReturnType<typeof monitorOptions.read>,
): Polls<void> {
  const chardev = daemon.chardevs.get(id);
  if (chardev === undefined) throw new QmpError(`chardev "${id}" not found`);
  if (chardev.isUsed) throw new QmpError(`Device '${id}' is in use`);
  chardev.isUsed = true;
  const { address, isServer } = chardev;
  const socket = isServer ? socketListener(address) : socketClient(address);
  if (socket < 0) throw new QmpError(`Failed to open a socket: ${strerror(-socket)}`);
  let connected: number | null = null;
  const co = qemuCoroutineCreate(function* (): Co<void> {
    const ret = yield* socketConnect(socket as HostHandle);
    connected = ret;
    aioWaitKick();
    if (ret < 0) return;
    if (isServer) yield* serveClients(daemon, socket as HostHandle);
    else yield* serveClient(daemon, socket as HostHandle);
  });
  aioCoEnter(machine.mainContext, co);
  yield* aioWaitWhileUnlocked(null, () => connected === null, SITE_MONITOR);
  const ret = connected ?? 0;
  if (ret < 0)
    throw new QmpError(`Failed to ${isServer ? "bind" : "connect"} socket: ${strerror(-ret)}`);
}

function* serveClients(daemon: Daemon, listener: HostHandle): Co<void> {
  daemon.listeners.add(listener);
  while (daemon.listeners.has(listener)) {
    const socket = yield* socketAccept(listener);
    if (socket < 0) return;
    yield* serveClient(daemon, socket as HostHandle);
  }
}

function* serveClient(daemon: Daemon, socket: HostHandle): Co<void> {
  const target = { state: daemon, commands, version: VERSION, vault: daemon.vault };
  const monitor = new QmpMonitor<Daemon>(target, socket);
  daemon.monitors.add(monitor);
  yield* monitorServe(monitor);
  daemon.monitors.delete(monitor);
  aioWaitKick();
}

/** The end, in QEMU's order: exports, then all requests, jobs, nodes, monitors and objects. Polls. */
function* shutDown(daemon: Daemon): Polls<void> {
  emitEvent(daemon, "SHUTDOWN", { guest: false, reason: daemon.quitReason });
  for (const one of [...daemon.exports.values()]) yield* removeExport(daemon, one);
  // Nothing may start any more. QEMU never ends this drain; here it ends when no node is left that it could hold.
  yield* bdrvDrainAllBegin(SITE_SHUTDOWN);
  yield* jobCancelSyncAll();
  for (const bs of [...daemon.nodes.values()]) yield* bdrvUnref(bs);
  daemon.nodes.clear();
  yield* bdrvDrainAllEnd(SITE_SHUTDOWN);
  if (daemon.nbdServer !== null) yield* nbdServerStop(daemon.nbdServer);
  const monitors = [...daemon.monitors];
  yield* aioWaitWhileUnlocked(null, () => !monitors.every(monitorIsFlushed), SITE_CLEANUP);
  for (const listener of daemon.listeners) socketClose(listener);
  daemon.listeners.clear();
  for (const monitor of monitors) monitorClose(monitor);
  yield* aioWaitWhileUnlocked(null, () => daemon.monitors.size > 0, SITE_CLEANUP);
  for (const object of daemon.objects.values())
    if (object.type === "iothread") yield* iothreadStopJoin(object.ctx);
}
