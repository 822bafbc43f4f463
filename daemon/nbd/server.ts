// The NBD server: where it listens, its exports, and the life of its clients.
//
// Accepting and negotiating happens in the main context, requests in the context of the export. What several contexts share, the
// sets of clients, is written in main alone: a client that ends in an iothread hands its end over by a bottom half.

import { assert, type HostHandle, must, strerror, type VirtualNs } from "#core/base";
import { bdrvDirtyBitmapSetBusy } from "#core/bitmaps";
import { BlockError } from "#core/graph";
import { site } from "#core/probe";
import {
  type AioContext,
  aioBhScheduleOneshot,
  aioCoEnter,
  aioWaitKick,
  aioWaitWhileUnlocked,
  type Co,
  CoQueue,
  clockNs,
  globalStateCode,
  machine,
  type Polls,
  qemuCoQueueRestartAll,
  qemuCoQueueWait,
  qemuCoroutineCreate,
  type SocketAddress,
  socketAccept,
  socketClose,
  socketConnect,
  socketListener,
  timerDel,
  timerMod,
  timerNew,
} from "#core/sched";
import { channelClose } from "./channel.ts";
import { NbdClient } from "./client.ts";
import type { NbdExport } from "./export.ts";
import { NBD_HANDSHAKE_NS_MAX } from "./limits.ts";
import { nbdNegotiate } from "./negotiate.ts";
import { nbdTransmit } from "./transmit.ts";

const SITE_START = site("nbd_server_start");
const SITE_FREE = site("nbd_server_free");
const SITE_DELETE = site("nbd_export_delete");
const SITE_RELEASE = site("nbd_export_delete/release");
const SITE_CLOSE = site("client_close");

/** C: NBDServerData. Written in the main context. */
export class NbdServer {
  readonly listener: HostHandle;
  /** Clients at the same time; 0 is without limit. */
  readonly maxConnections: number;
  readonly handshakeNsMax: number;
  readonly tls: NbdTls | null;
  readonly onDisconnect: (client: NbdClient) => void;
  readonly exports = new Map<string, NbdExport>();
  readonly clients = new Set<NbdClient>();
  /** The accepting coroutine, when there are as many clients as may be. */
  readonly vacancy = new CoQueue();
  isAccepting = true;
  isOver = false;
  /** The port of a TCP server, else 0. */
  port = 0;

  constructor(listener: HostHandle, options: NbdServerOptions) {
    this.listener = listener;
    this.maxConnections = options.maxConnections ?? 0;
    this.tls = options.tls ?? null;
    this.handshakeNsMax = options.handshakeNsMax ?? NBD_HANDSHAKE_NS_MAX;
    this.onDisconnect = options.onDisconnect ?? closeInMain;
  }
}

/** Clients must shake hands with these credentials before they are told anything. */
export interface NbdTls {
  readonly creds: HostHandle;
  /** Whether a peer with this distinguished name is let in (C: tlsauthz); null: all whose certificates are right. */
  readonly isAllowed: ((identity: string) => boolean) | null;
}

/** QAPI: NbdServerOptions. */
export interface NbdServerOptions {
  readonly address: SocketAddress;
  readonly maxConnections?: number;
  readonly tls?: NbdTls;
  readonly handshakeNsMax?: number;
  /**
   * Called in the context of the export when a client has gone: whoever sets it, to show a mistake, sees to it that the client is
   * closed. By default main does that, in a bottom half.
   */
  readonly onDisconnect?: (client: NbdClient) => void;
}

/** nbd_server_start (blockdev-nbd.c:137): listens when it returns; BlockError when it cannot. Polls. */
export function* nbdServerStart(options: NbdServerOptions): Polls<NbdServer> {
  globalStateCode(SITE_START);
  const listener = socketListener(options.address);
  if (listener < 0)
    throw new BlockError(-listener, `Failed to open a socket: ${strerror(-listener)}`);
  const server = new NbdServer(listener as HostHandle, options);
  let ret: number | null = null;
  const co = qemuCoroutineCreate(function* (): Co<void> {
    ret = yield* socketConnect(server.listener);
    aioWaitKick();
    if (ret >= 0) yield* acceptAll(server);
    server.isAccepting = false;
    aioWaitKick();
  });
  aioCoEnter(machine.mainContext, co);
  yield* aioWaitWhileUnlocked(null, () => ret === null, SITE_START);
  const port = must<number>(ret, "the wait is over when there is an answer");
  if (port < 0) {
    socketClose(server.listener);
    throw new BlockError(-port, `Failed to bind socket${placeOf(options)}: ${strerror(-port)}`);
  }
  server.port = port;
  return server;
}

function placeOf({ address }: NbdServerOptions): string {
  return address.type === "unix" ? ` to ${address.path}` : "";
}

/** nbd_accept for each connection, until the listener is closed. */
function* acceptAll(server: NbdServer): Co<void> {
  for (;;) {
    while (isFull(server)) yield* qemuCoQueueWait(server.vacancy);
    if (server.isOver) return;
    const socket = yield* socketAccept(server.listener);
    if (socket < 0) return;
    const client = new NbdClient(server, socket as HostHandle);
    server.clients.add(client);
    aioCoEnter(
      machine.mainContext,
      qemuCoroutineCreate(() => greet(client)),
    );
  }
}

function isFull({ maxConnections, clients, isOver }: NbdServer): boolean {
  return !isOver && maxConnections > 0 && clients.size >= maxConnections;
}

/** nbd_co_client_start: negotiate within the time that there is for it, then go to the context of the export. */
function* greet(client: NbdClient): Co<void> {
  const timer = timerNew(machine.mainContext, () => {
    channelClose(client.channel);
    return undefined;
  });
  timerMod(timer, (clockNs() + client.server.handshakeNsMax) as VirtualNs);
  const isOpen = yield* nbdNegotiate(client);
  timerDel(timer);
  const { nbdExport } = client;
  if (!isOpen || nbdExport === null || !isThere(client.server, nbdExport)) {
    channelClose(client.channel);
    nbdClientClose(client);
    return;
  }
  nbdExport.clients.add(client);
  aioCoEnter(
    nbdExport.blk.ctx,
    qemuCoroutineCreate(() => serve(client, nbdExport)),
  );
}

/** While its last answer was on its way to the client, an export may have been deleted. */
function isThere({ isOver, exports }: NbdServer, nbdExport: NbdExport): boolean {
  return !isOver && exports.get(nbdExport.name) === nbdExport;
}

function* serve(client: NbdClient, nbdExport: NbdExport): Co<void> {
  yield* nbdTransmit(client, nbdExport);
  channelClose(client.channel);
  client.server.onDisconnect(client);
}

/** The sets are main's. */
function closeInMain(client: NbdClient): void {
  aioBhScheduleOneshot(machine.mainContext, () => {
    nbdClientClose(client);
    return undefined;
  });
}

/** client_close, the part of main: nobody asks for the client any more. */
export function nbdClientClose(client: NbdClient): void {
  globalStateCode(SITE_CLOSE);
  const { server, nbdExport } = client;
  nbdExport?.clients.delete(client);
  server.clients.delete(client);
  if (nbdExport?.clients.size === 0) nbdExport.onGone?.();
  qemuCoQueueRestartAll(server.vacancy);
  aioWaitKick();
}

/** nbd_export_delete: its clients' connections are closed, and their last requests waited for. Polls. */
export function* nbdExportDelete(server: NbdServer, nbdExport: NbdExport): Polls<void> {
  nbdExportRequestShutdown(server, nbdExport);
  yield* aioWaitWhileUnlocked(null, () => nbdExport.clients.size > 0, SITE_DELETE);
  nbdExportRelease(nbdExport);
}

/** nbd_export_request_shutdown: nobody finds it any more, and the connections of its clients are closed. */
export function nbdExportRequestShutdown(server: NbdServer, nbdExport: NbdExport): void {
  globalStateCode(SITE_DELETE);
  assert(server.exports.get(nbdExport.name) === nbdExport, "the export is one of the server's");
  server.exports.delete(nbdExport.name);
  for (const client of nbdExport.clients) hangUp(client, nbdExport.blk.ctx);
}

/** Its last client has gone: its bitmaps are everybody's again. */
export function nbdExportRelease({ clients, bitmaps }: NbdExport): void {
  globalStateCode(SITE_RELEASE);
  assert(clients.size === 0, "nobody uses what is released");
  for (const bitmap of bitmaps) bdrvDirtyBitmapSetBusy(bitmap, false);
}

/** Close a connection in the context that uses it. */
function hangUp(client: NbdClient, ctx: AioContext): void {
  aioBhScheduleOneshot(ctx, () => {
    channelClose(client.channel);
    return undefined;
  });
}

/** nbd_server_free (blockdev-nbd.c:113): no more clients, and no exports; returns when the last client is gone. Polls. */
export function* nbdServerStop(server: NbdServer): Polls<void> {
  globalStateCode(SITE_FREE);
  assert(!server.isOver, "a server is stopped once");
  server.isOver = true;
  socketClose(server.listener);
  qemuCoQueueRestartAll(server.vacancy);
  for (const client of server.clients) {
    hangUp(client, client.nbdExport?.blk.ctx ?? machine.mainContext);
  }
  yield* aioWaitWhileUnlocked(null, () => server.isAccepting || server.clients.size > 0, SITE_FREE);
  server.exports.clear();
}
