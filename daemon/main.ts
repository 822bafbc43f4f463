// The daemon: options in their order, then the main loop until somebody says quit, then everything given back in QEMU's order.
//
// It is a program on the block layer like any scenario, so a recording of a daemon is replayed like one: its options are in the
// header of the trace, and all that clients said came through the door.

import { blkUnref } from "#core/backend";
import { QuiesceError, type VirtualNs } from "#core/base";
import { fileDefaults } from "#core/drivers";
import { BlockError, bdrvUnref } from "#core/graph";
import { bdrvDrainAllBegin, bdrvDrainAllEnd } from "#core/io";
import { jobCancelSyncAll } from "#core/jobs";
import { site } from "#core/probe";
import {
  aioPoll,
  aioRemoveFdHandler,
  aioSetFdHandler,
  aioWaitWhileUnlocked,
  clockNs,
  iothreadStopJoin,
  machine,
  type Polls,
  socketClose,
  timerDel,
  timerMod,
  timerNew,
} from "#core/sched";
import { blockdevOptions } from "./blockdev-options.ts";
import { addDrive } from "./commands/drive.ts";
import {
  addExport,
  exportOptions,
  nbdServerOptions,
  removeExport,
  socketAddressOf,
  startNbdServer,
} from "./commands/export-commands.ts";
import { addBlockdev } from "./commands/node-commands.ts";
import { addObject, objectOptions } from "./commands/object-commands.ts";
import { emitEvent, flushEvents, forwardEvents } from "./events.ts";
import { addMonitor, chardevOf, chardevOptions, monitorOptions } from "./monitors.ts";
import { nbdServerStop } from "./nbd/index.ts";
import { jsonText } from "./qmp/json-value.ts";
import { monitorClose, monitorIsFlushed, type QmpMonitor } from "./qmp/monitor.ts";
import { QmpError } from "./qmp/schema.ts";
import {
  Daemon,
  type DaemonChardev,
  type DaemonHooks,
  type DaemonOption,
  veiledOption,
} from "./state.ts";

const SITE_CLEANUP = site("monitor_cleanup");
const SITE_SHUTDOWN = site("qsd_shutdown");

/** How long the daemon's end waits for clients of monitors to read what they were sent, in ns. */
const FLUSH_NS_MAX = 1_000_000_000;

/** What the daemon is told from outside, and tells. */
export interface DaemonParts extends DaemonHooks {
  readonly options: readonly DaemonOption[];
  /** Nanoseconds since 1970 when the run begins: events say what time of the day it is. */
  readonly epochNs: number;
}

/** main (storage-daemon/qemu-storage-daemon.c:395), after the command line was read. Polls. */
export function* daemonMain(parts: DaemonParts): Polls<void> {
  fileDefaults().locking = "auto";
  const daemon = new Daemon(parts.epochNs, parts);
  forwardEvents(daemon);
  const quit = aioSetFdHandler(machine.mainContext, false, () => {
    daemon.quitReason ??= "host-signal";
    return undefined;
  });
  const refusal = yield* carryOut(daemon, parts.options);
  if (refusal === null) {
    parts.onReady?.(quit.id);
    while (daemon.quitReason === null) yield* aioPoll(machine.mainContext, true);
    parts.onStopping?.();
    emitEvent(daemon, "SHUTDOWN", { guest: false, reason: daemon.quitReason });
  } else parts.onRefused?.(refusal);
  yield* shutDown(daemon);
  aioRemoveFdHandler(quit);
}

/** Each option, as the command that it stands for; the first refusal is the user's mistake, in one sentence, and no option follows. Polls. */
function* carryOut(daemon: Daemon, options: readonly DaemonOption[]): Polls<QuiesceError | null> {
  for (const option of options) {
    try {
      yield* apply(daemon, option);
    } catch (error) {
      if (!(error instanceof BlockError || error instanceof QmpError)) throw error;
      const { name, value } = veiledOption(option);
      const hint = error instanceof BlockError ? error.hint : "";
      return new QuiesceError("usage", `--${name} ${jsonText(value)}: ${error.message}`, hint);
    }
  }
  return null;
}

function* apply(daemon: Daemon, { name, value, isText }: DaemonOption): Polls<void> {
  const kind = isText ? "keyval" : "json";
  switch (name) {
    case "blockdev":
      yield* addBlockdev(daemon, blockdevOptions.read(value, "", kind));
      return;
    case "drive":
      yield* addDrive(daemon, value, kind);
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
      const chardev = chardevOf(chardevOptions(value, kind));
      const isStdio = (one: DaemonChardev) => one.address.type === "stdio";
      if (isStdio(chardev) && [...daemon.chardevs.values()].some(isStdio))
        throw new QmpError("cannot use stdio by multiple character devices");
      if (daemon.chardevs.has(chardev.id))
        throw new QmpError(`Duplicate ID '${chardev.id}' for chardev`);
      daemon.chardevs.set(chardev.id, chardev);
      return;
    }
    case "monitor":
      yield* addMonitor(daemon, monitorOptions.read(value, "", kind));
  }
}

/** What was said to clients is sent to those that read it; the others do not hold up the end. Polls. */
function* flushMonitors(monitors: readonly QmpMonitor<Daemon>[]): Polls<void> {
  if (monitors.every(monitorIsFlushed)) return;
  let isLate = false;
  const timer = timerNew(machine.mainContext, () => {
    isLate = true;
    return undefined;
  });
  timerMod(timer, (clockNs() + FLUSH_NS_MAX) as VirtualNs);
  const isAwaited = () => !isLate && !monitors.every(monitorIsFlushed);
  yield* aioWaitWhileUnlocked(null, isAwaited, SITE_CLEANUP);
  timerDel(timer);
}

/** The end, in QEMU's order: exports, then all requests, jobs, nodes, monitors and objects. Polls. */
function* shutDown(daemon: Daemon): Polls<void> {
  for (const one of [...daemon.exports.values()]) yield* removeExport(daemon, one);
  // Nothing may start any more. QEMU never ends this drain; here it ends when no node is left that it could hold.
  yield* bdrvDrainAllBegin(SITE_SHUTDOWN);
  yield* jobCancelSyncAll();
  for (const blk of daemon.drives.splice(0)) yield* blkUnref(blk);
  for (const bs of [...daemon.nodes.values()]) yield* bdrvUnref(bs);
  daemon.nodes.clear();
  yield* bdrvDrainAllEnd(SITE_SHUTDOWN);
  // A monitor may still ask for it to be stopped.
  const server = daemon.nbdServer;
  daemon.nbdServer = null;
  if (server !== null) yield* nbdServerStop(server);
  flushEvents(daemon);
  const monitors = [...daemon.monitors];
  yield* flushMonitors(monitors);
  for (const listener of daemon.listeners) socketClose(listener);
  daemon.listeners.clear();
  for (const monitor of monitors) monitorClose(monitor);
  yield* aioWaitWhileUnlocked(null, () => daemon.monitors.size > 0, SITE_CLEANUP);
  for (const object of daemon.objects.values())
    if (object.type === "iothread") yield* iothreadStopJoin(object.ctx);
}
