// A server for tests: an image of its own, exported in an iothread until somebody connects to its second socket.

import { blkNewWithBs, blkUnref } from "#core/backend";
import { assert, type HostHandle } from "#core/base";
import { fileOpen, rawOpen } from "#core/drivers";
import { BLK_PERM_CONSISTENT_READ, BLK_PERM_WRITE, bdrvUnref } from "#core/graph";
import { site } from "#core/probe";
import {
  type Co,
  type Polls,
  type SocketAddress,
  socketAccept,
  socketClose,
  socketConnect,
  socketListener,
} from "#core/sched";
import type { Scenario, World } from "#explorer";
import {
  type NbdServer,
  nbdExportCreate,
  nbdExportDelete,
  nbdServerStart,
  nbdServerStop,
} from "./index.ts";

/** Where a client of a test reveals what it was answered. */
export const SITE_CLIENT = site("nbd_raw_client");

/** What the server of a test is. */
export interface ServedImage {
  readonly address: SocketAddress;
  /** Where to connect to for the end. */
  readonly stop: SocketAddress;
  readonly writable?: boolean;
  readonly maxConnections?: number;
  readonly handshakeNsMax?: number;
  /** Told when the server listens. */
  readonly onListening?: (server: NbdServer) => void;
  /** What else main does while it serves. Polls. */
  readonly meanwhile?: (world: World, isOver: () => boolean) => Polls<void>;
}

/** `image` in the folder of the images, exported as "disk". */
export function servedImage(served: ServedImage): Scenario {
  return {
    name: "served-image",
    title: "An image is exported.",
    main: (world) => serve(world, served),
  };
}

function* serve(world: World, served: ServedImage): Polls<void> {
  const { writable = true } = served;
  const ctx = world.iothread("io0");
  const file = yield* fileOpen({ nodeName: "file", path: world.imagePath("image"), ctx });
  const raw = yield* rawOpen("disk", file);
  const perm = BLK_PERM_CONSISTENT_READ | (writable ? BLK_PERM_WRITE : 0);
  const blk = yield* blkNewWithBs(raw, { name: "", perm });
  yield* bdrvUnref(raw);
  const server = yield* nbdServerStart(served);
  const exported = yield* nbdExportCreate(server, blk, {
    name: "disk",
    description: "the test's",
    writable,
    allocationDepth: true,
  });
  let isOver = false;
  world.guest(ctx, function* (): Co<void> {
    yield* untilStopped(served.stop);
    isOver = true;
  });
  served.onListening?.(server);
  if (served.meanwhile !== undefined) yield* served.meanwhile(world, () => isOver);
  yield* world.joinGuests();
  yield* nbdExportDelete(server, exported);
  yield* nbdServerStop(server);
  yield* blkUnref(blk);
  yield* world.stopIothreads();
}

function* untilStopped(address: SocketAddress): Co<void> {
  const listener = socketListener(address) as HostHandle;
  assert((yield* socketConnect(listener)) === 0, "the second socket listens");
  const connection = (yield* socketAccept(listener)) as HostHandle;
  socketClose(connection);
  socketClose(listener);
}
