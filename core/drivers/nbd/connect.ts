// Making a connection, once or again and again, and giving up when told to.
//
// Between attempts a second goes by, then two, up to sixteen, as in QEMU's thread. Cancelling closes the socket that is being
// connected, or wakes the sleeper: the coroutine that connects then comes back without a connection.

import {
  assert,
  ECONNREFUSED,
  type HostHandle,
  strerror,
  type VirtualNs,
} from "../../base/index.ts";
import type { BlockDriverState } from "../../graph/state.ts";
import { site } from "../../probe/index.ts";
import {
  aioCoWake,
  type Co,
  clockNs,
  ioCode,
  qemuCoroutineSelf,
  qemuCoroutineYield,
  type SocketAddress,
  socketClient,
  socketClose,
  socketConnect,
  type Timer,
  timerDel,
  timerMod,
  timerNew,
} from "../../sched/index.ts";
import { type HandshakeFailure, handshake } from "./handshake.ts";
import { type NbdClientState, nbdStateOf } from "./state.ts";

const SITE_ESTABLISH = site("nbd_co_do_establish_connection");
const SITE_CANCEL = site("nbd_co_establish_connection_cancel");
const SITE_RECONNECT = site("nbd_reconnect_attempt");

const SECOND_NS = 1_000_000_000;
const PAUSE_NS_MAX = 16 * SECOND_NS;

/** nbd_co_do_establish_connection: connect `bs`, with `retries` until it is cancelled; null, or why it is not connected. */
export function* establishConnection(
  bs: BlockDriverState,
  retries: boolean,
): Co<HandshakeFailure | null> {
  ioCode(bs.aioContext, SITE_ESTABLISH);
  const state = nbdStateOf(bs);
  assert(state.socket === null, "there is no connection yet");
  state.isCancelled = false;
  for (let pauseNs = SECOND_NS; ; pauseNs = Math.min(2 * pauseNs, PAUSE_NS_MAX)) {
    const failure = yield* attempt(state);
    if (failure === null || !retries || state.isCancelled) return failure;
    yield* pause(bs, pauseNs);
    if (state.isCancelled) return failure;
  }
}

/** nbd_co_establish_connection_cancel: whoever connects gives up. */
export function cancelConnection(bs: BlockDriverState): void {
  ioCode(bs.aioContext, SITE_CANCEL);
  const state = nbdStateOf(bs);
  state.isCancelled = true;
  const { sleeper, connecting } = state;
  if (connecting !== null) {
    state.connecting = null;
    socketClose(connecting);
  }
  if (sleeper === null) return;
  assert(connecting === null, "who sleeps does not connect");
  timerDel(sleeper.timer);
  state.sleeper = null;
  aioCoWake(sleeper.co);
}

/** One try. */
function* attempt(state: NbdClientState): Co<HandshakeFailure | null> {
  const { server, exportName, context, tls } = state.options;
  const opened = socketClient(server);
  if (opened < 0) return refused(server, -opened);
  const socket = opened as HostHandle;
  state.connecting = socket;
  const ret = yield* socketConnect(socket);
  const wish = { exportName, context: context ?? "base:allocation", tls };
  const found = ret < 0 ? refused(server, -ret) : yield* handshake(socket, wish);
  // Cancelled: it is closed already.
  if (state.connecting === null) return refused(server, ECONNREFUSED);
  state.connecting = null;
  if ("errno" in found) {
    socketClose(socket);
    return found;
  }
  state.socket = socket;
  state.info = found;
  state.state = "connected";
  return null;
}

function refused(server: SocketAddress, errno: number): HandshakeFailure {
  return { errno, message: `Failed to connect to '${addressText(server)}': ${strerror(errno)}` };
}

function addressText(server: SocketAddress): string {
  switch (server.type) {
    case "unix":
      return server.path;
    case "inet":
      return `${server.host}:${server.port}`;
    case "fd":
      return `fd ${server.fd}`;
    case "stdio":
      return "stdio";
  }
}

function* pause(bs: BlockDriverState, ns: number): Co<void> {
  const state = nbdStateOf(bs);
  const co = qemuCoroutineSelf();
  const timer = timerNew(bs.aioContext, () => {
    state.sleeper = null;
    aioCoWake(co);
    return undefined;
  });
  state.sleeper = { co, timer };
  timerMod(timer, (clockNs() + ns) as VirtualNs);
  yield* qemuCoroutineYield();
}

/** A timer that cancels after `ns` nanoseconds, and does `more` then. Common. */
export function cancelAfter(bs: BlockDriverState, ns: number, more: () => void): Timer {
  const timer = timerNew(bs.aioContext, () => {
    more();
    cancelConnection(bs);
    return undefined;
  });
  timerMod(timer, (clockNs() + ns) as VirtualNs);
  return timer;
}

/**
 * nbd_reconnect_attempt (block/nbd.c:346): the only request that is under way looks for a connection: until the delay is over, or
 * once. Differs from QEMU: the one try of a request that does not wait is its own, for a second at most, and not a thread's.
 */
export function* reconnectAttempt(bs: BlockDriverState): Co<void> {
  ioCode(bs.aioContext, SITE_RECONNECT);
  const state = nbdStateOf(bs);
  assert(state.inFlight === 1, "nobody else uses the connection");
  const waits = state.state === "connecting-wait";
  const limitNs = waits ? state.options.reconnectDelayNs : SECOND_NS;
  const timer = cancelAfter(bs, limitNs, () => {
    if (state.state === "connecting-wait") state.state = "connecting-nowait";
  });
  yield* establishConnection(bs, waits);
  // It must not outlive the request: a drain waits for requests, not for timers.
  timerDel(timer);
}
