// What a storage daemon has: nodes of the monitor's, iothreads, exports, character devices and monitors. State only.
//
// All of it is used in the main context alone: commands and options run there.

import type { BlockBackend } from "#core/backend";
import type { HostHandle } from "#core/base";
import type { BlockDriverState } from "#core/graph";
import type { AioContext, SocketAddress } from "#core/sched";
import { EventQueue } from "./events.ts";
import type { NbdExport, NbdServer } from "./nbd/index.ts";
import type { JsonObject } from "./qmp/json-value.ts";
import type { QmpMonitor } from "./qmp/monitor.ts";

/** C: BlockExport of type nbd. */
export interface DaemonExport {
  readonly id: string;
  readonly nodeName: string;
  readonly blk: BlockBackend;
  readonly nbdExport: NbdExport;
  isShuttingDown: boolean;
}

/** C: Chardev of a socket, or of standard input and output. */
export interface DaemonChardev {
  readonly id: string;
  readonly address: SocketAddress;
  /** It listens; else it connects. */
  readonly isServer: boolean;
  isUsed: boolean;
}

/** An object of object-add. */
export interface DaemonObject {
  readonly type: "iothread" | "throttle-group";
  readonly id: string;
  readonly ctx: AioContext | null;
}

/** The daemon of one run. */
export class Daemon {
  /** Nodes that blockdev-add made, by node-name; each holds a reference (C: monitor_bdrv_states). */
  readonly nodes = new Map<string, BlockDriverState>();
  readonly objects = new Map<string, DaemonObject>();
  readonly exports = new Map<string, DaemonExport>();
  readonly chardevs = new Map<string, DaemonChardev>();
  readonly monitors = new Set<QmpMonitor<Daemon>>();
  /** Sockets where monitors are connected to. */
  readonly listeners = new Set<HostHandle>();
  readonly events = new EventQueue();
  nbdServer: NbdServer | null = null;
  /** Why it ends, once it is told to (QAPI: ShutdownCause). */
  quitReason: "host-qmp-quit" | "host-signal" | null = null;
  /** Nanoseconds since 1970 when the run began. */
  readonly epochNs: number;

  constructor(epochNs: number) {
    this.epochNs = epochNs;
  }
}

/** Options that were given as `--NAME VALUE`, in their order. */
export interface DaemonOption {
  readonly name: "blockdev" | "chardev" | "export" | "monitor" | "nbd-server" | "object";
  readonly value: JsonObject;
  /** Leaves are text, not JSON. */
  readonly isText: boolean;
}
