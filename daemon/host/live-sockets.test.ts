import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { HostHandle } from "#core/base";
import { Ev, ProbeBase } from "#core/probe";
import {
  aioCoEnter,
  aioPoll,
  type Co,
  hostAllocate,
  Machine,
  machine,
  type Polls,
  qemuCoroutineCreate,
  seriesWithout,
  socketAccept,
  socketClose,
  socketConnect,
  socketListener,
  socketRecv,
} from "#core/sched";
import { LiveHost } from "./live-host.ts";
import { runLive } from "./run-live.ts";

const CLIENTS = 3;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "quiesce-sockets-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Steps before each thing that has arrived since the last one. */
class Arrivals extends ProbeBase {
  readonly steps: number[] = [];

  override emit(kind: number, _a?: number, _b?: number, _c?: number, d = 0): void {
    if (kind === Ev.io_complete) this.steps.push(d);
  }
  override emitWide(): void {}
}

/** Hear one byte of each of CLIENTS clients; `onAll` when all are waited for. Polls. */
function* hearAll(path: string, onAll: () => void): Polls<void> {
  let left = CLIENTS;
  const listener = socketListener({ type: "unix", path }) as HostHandle;
  const accepting = qemuCoroutineCreate(function* (): Co<void> {
    expect(yield* socketConnect(listener)).toBe(0);
    for (let i = 0; i < CLIENTS; i++) {
      const socket = (yield* socketAccept(listener)) as HostHandle;
      const hearing = qemuCoroutineCreate(function* (): Co<void> {
        const range = { buffer: hostAllocate(1), start: 0, least: 1, most: 1 };
        expect(yield* socketRecv(socket, range)).toBe(1);
        socketClose(socket);
        left--;
      });
      aioCoEnter(machine.mainContext, hearing);
    }
    socketClose(listener);
    onAll();
  });
  aioCoEnter(machine.mainContext, accepting);
  while (left > 0) yield* aioPoll(machine.mainContext, true);
}

it("of several clients that are ready at once all are heard before the machine runs", async () => {
  const path = join(folder, "socket");
  const probe = new Arrivals();
  const clients: net.Socket[] = [];
  const owner = new Machine({
    host: new LiveHost(),
    scheduler: { pick: (_runnable, byDefault) => byDefault },
    probe,
    series: seriesWithout(),
    lock: "none",
  });
  const over = new Promise<void>((resolve) => {
    owner.start(
      hearAll(path, () => {
        // Not before this step is over, and all of them in one turn.
        setTimeout(() => {
          probe.steps.length = 0;
          for (const client of clients) client.write("x");
          resolve();
        }, 20);
      }),
    );
  });
  const run = runLive(owner);
  for (let i = 0; i < CLIENTS; i++) {
    const client = net.connect(path);
    clients.push(client);
    await once(client, "connect");
  }
  await over;
  expect(await run).toBe("ok");
  expect(probe.steps.slice(1)).toEqual(Array(CLIENTS - 1).fill(0));
  for (const client of clients) client.destroy();
});
