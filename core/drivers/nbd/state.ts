// The state of an NBD client: its connection, what the server has said of the export, and the requests that are under way.
//
// All of it is used in the node's context. Requests share one connection: each has a slot, whose number is the handle that its
// reply comes back with; whoever waits for a reply reads the next header, and if it is another's, wakes that one.

import { assert, type HostHandle } from "../../base/index.ts";
import type { BlockDriverState } from "../../graph/state.ts";
import {
  CoMutex,
  CoQueue,
  type Coroutine,
  type SocketAddress,
  type Timer,
} from "../../sched/index.ts";
import { NBD_REQUESTS_MAX } from "./protocol.ts";

/** What the server has said (C: NBDExportInfo). */
export interface NbdExportInfo {
  readonly size: number;
  readonly flags: number;
  readonly minBlock: number;
  readonly preferredBlock: number;
  readonly maxBlock: number;
  readonly structuredReply: boolean;
  /** Number of the metadata context that was agreed on; null for none. */
  readonly contextId: number | null;
}

/** C: NBDClientState. */
export type NbdConnectionState =
  | "connected"
  /** The connection is lost; requests wait for another. */
  | "connecting-wait"
  /** It is lost; each request tries once, and fails. */
  | "connecting-nowait"
  /** The server does not keep to the protocol, or the node is closed. */
  | "quit";

/** A request under way (C: NBDClientRequest). */
export interface NbdSlot {
  readonly index: number;
  readonly co: Coroutine;
  /** Once chunks are agreed on, a read and a status are answered by chunks alone. */
  readonly onlyChunks: boolean;
  /** It waits until somebody has read the header of its reply. */
  receiving: boolean;
}

/** The header of a reply whose payload has not been read yet (C: NBDReply). */
export interface NbdReply {
  readonly index: number;
  readonly isStructured: boolean;
  /** Of a simple reply: the error on the wire. */
  readonly error: number;
  readonly flags: number;
  readonly type: number;
  readonly length: number;
}

/** How a client encrypts. */
export interface NbdTls {
  readonly creds: HostHandle;
  /** What the server's certificate must be made out to; null where the user has not said. */
  readonly hostname: string | null;
}

/** How a client is connected. */
export interface NbdConnectionOptions {
  readonly server: SocketAddress;
  readonly exportName: string;
  /** The metadata context that is asked for; null for base:allocation. */
  readonly context: string | null;
  readonly tls: NbdTls | null;
  /** Nanoseconds. */
  readonly reconnectDelayNs: number;
  readonly openTimeoutNs: number;
  /** The node is closed: the credentials are not needed any more. */
  readonly onClose: () => void;
}

/** C: BDRVNBDState. */
export class NbdClientState {
  readonly options: NbdConnectionOptions;
  state: NbdConnectionState = "connecting-nowait";
  socket: HostHandle | null = null;
  info: NbdExportInfo | null = null;

  inFlight = 0;
  readonly freeSema = new CoQueue();
  readonly slots: (NbdSlot | null)[] = new Array<NbdSlot | null>(NBD_REQUESTS_MAX).fill(null);
  readonly sendMutex = new CoMutex();
  readonly receiveMutex = new CoMutex();
  reply: NbdReply | null = null;

  /** While a connection is made: the socket, and whoever sleeps until the next attempt. */
  connecting: HostHandle | null = null;
  sleeper: { readonly co: Coroutine; readonly timer: Timer } | null = null;
  isCancelled = false;

  constructor(options: NbdConnectionOptions) {
    this.options = options;
  }
}

/** The state of an NBD client. Common. */
export function nbdStateOf(bs: BlockDriverState): NbdClientState {
  assert(bs.opaque instanceof NbdClientState, "the node is an NBD client");
  return bs.opaque;
}

/** What the server has said when it was connected to. Common. */
export function nbdInfoOf(bs: BlockDriverState): NbdExportInfo {
  const { info } = nbdStateOf(bs);
  assert(info !== null, "an open node has been connected once");
  return info;
}
