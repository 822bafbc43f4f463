// What a storage daemon has: nodes of the monitor's, iothreads, exports, character devices and monitors. State only.
//
// All of it is used in the main context alone: commands and options run there.

import type { BlockBackend } from "#core/backend";
import type { HostHandle, QuiesceError } from "#core/base";
import type { BlockDriverState } from "#core/graph";
import { type AioContext, perMachine, type SocketAddress } from "#core/sched";
import type { IothreadParams } from "./commands/iothread-params.ts";
import { EventQueue } from "./events.ts";
import type { NbdExport, NbdServer } from "./nbd/index.ts";
import type { JsonObject, Sendable } from "./qmp/json-value.ts";
import type { QmpMonitor } from "./qmp/monitor.ts";
import { SecretVault } from "./qmp/secret-seal.ts";

/** C: BlockExport of type nbd. */
export interface DaemonExport {
  readonly id: string;
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
  /** The daemon goes on only when the first client is there. */
  readonly waits: boolean;
  isUsed: boolean;
}

/** C: QCryptoSecret: the host has it. */
export interface DaemonSecret {
  readonly type: "secret";
  readonly id: string;
  readonly handle: HostHandle;
}

/** C: QCryptoTLSCreds: the host has them. */
export interface DaemonCreds {
  readonly type: "tls-creds-x509" | "tls-creds-psk";
  readonly id: string;
  readonly handle: HostHandle;
  readonly isServer: boolean;
  /** Whoever shakes hands with them has proven its distinguished name. */
  readonly identifiesPeer: boolean;
  /** The object, the NBD server, nodes: when the last is gone, the host forgets them. */
  users: number;
}

/** C: QAuthZ. */
export interface DaemonAuthz {
  readonly type: "authz-simple" | "authz-list";
  readonly id: string;
  readonly isAllowed: (identity: string) => boolean;
}

/** An object of object-add. */
export type DaemonObject =
  | {
      readonly type: "iothread";
      readonly id: string;
      readonly ctx: AioContext;
      readonly params: IothreadParams;
    }
  | { readonly type: "throttle-group"; readonly id: string }
  | DaemonSecret
  | DaemonCreds
  | DaemonAuthz;

/** object_get_objects_root: the objects of this run, by id. */
export const objectsRoot = perMachine(() => new Map<string, DaemonObject>());

/** How a process looks for work before it sleeps: for how long at most (ns), by what the time grows and shrinks; 0 as in IdlePoll. */
export interface Polling {
  readonly maxNs: number;
  readonly grow: number;
  readonly shrink: number;
}

/** Who is told how the daemon gets on; each of them runs straight through. */
export interface DaemonHooks {
  /** All options are done. `quitHandler` is the number of the fd handler that ends the daemon when it becomes ready. */
  readonly onReady?: (quitHandler: number) => void;
  /** An option was refused, as the error says: the daemon ends without having been ready. */
  readonly onRefused?: (refusal: QuiesceError) => void;
  /** It has been told to end, and begins to. */
  readonly onStopping?: () => void;
  /** An event of QMP's. */
  readonly onEvent?: (event: string, data: Sendable) => void;
  /** A line for the standard output: what commands of qemu-io and breakpoints say. */
  readonly print?: (line: string) => void;
  /** A warning. */
  readonly warn?: (line: string) => void;
  /** How the process is to look for work before it sleeps. */
  readonly onPolling?: (polling: Polling) => void;
  /** Why the process is to end with exit code 1, which it does at once: the run is over. */
  readonly fatal?: (line: string) => void;
}

/** The daemon of one run. */
export class Daemon {
  /** Nodes that blockdev-add made, by node-name; each holds a reference (C: monitor_bdrv_states). */
  readonly nodes = new Map<string, BlockDriverState>();
  /** BlockBackends with a name, each with the reference of its creation. */
  readonly drives: BlockBackend[] = [];
  readonly objects = objectsRoot();
  readonly exports = new Map<string, DaemonExport>();
  readonly chardevs = new Map<string, DaemonChardev>();
  readonly monitors = new Set<QmpMonitor<Daemon>>();
  /** Sockets where monitors are connected to. */
  readonly listeners = new Set<HostHandle>();
  readonly events = new EventQueue();
  nbdServer: NbdServer | null = null;
  /** Why it ends, once it is told to (QAPI: ShutdownCause). */
  quitReason: "host-qmp-quit" | "host-signal" | null = null;
  /** What the NBD server shakes hands with; it stays until the server is stopped, also when its object is deleted. */
  nbdCreds: DaemonCreds | null = null;
  /** Texts of secrets that came over QMP. */
  readonly vault = new SecretVault();
  /** Nanoseconds since 1970 when the run began. */
  readonly epochNs: number;
  /** A line for the standard output. */
  readonly print: (line: string) => void;
  /** A warning for whoever looks after the daemon. */
  readonly warn: (line: string) => void;
  /** The last line, before the run ends. */
  readonly fatal: (line: string) => void;
  /** Told of every event of QMP's. */
  readonly onEvent: (event: string, data: Sendable) => void;
  readonly #onPolling: (polling: Polling) => void;

  constructor(epochNs: number, hooks: DaemonHooks = {}) {
    this.epochNs = epochNs;
    this.print = hooks.print ?? (() => {});
    this.warn = hooks.warn ?? (() => {});
    this.fatal = hooks.fatal ?? (() => {});
    this.onEvent = hooks.onEvent ?? (() => {});
    this.#onPolling = hooks.onPolling ?? (() => {});
  }

  /** The iothreads, or what is said of one, have changed. */
  pollAsAsked(): void {
    let most: Polling = { maxNs: 0, grow: 0, shrink: 0 };
    for (const object of this.objects.values()) {
      if (object.type !== "iothread" || object.params["poll-max-ns"] <= most.maxNs) continue;
      const { "poll-max-ns": maxNs, "poll-grow": grow, "poll-shrink": shrink } = object.params;
      most = { maxNs, grow, shrink };
    }
    this.#onPolling(most);
  }
}

/** Options that were given as `--NAME VALUE`, in their order. */
export interface DaemonOption {
  readonly name: "blockdev" | "chardev" | "drive" | "export" | "monitor" | "nbd-server" | "object";
  readonly value: JsonObject;
  /** Leaves are text, not JSON. */
  readonly isText: boolean;
}

/** The option without the secret that it may have, for all that is written down. */
export function veiledOption(option: DaemonOption): DaemonOption {
  if (option.name !== "object" || !option.value.has("data")) return option;
  return { ...option, value: new Map([...option.value, ["data", ""]]) };
}
