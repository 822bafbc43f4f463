// The asynchronous rim of a live run: run the machine until it must wait, let libuv work, run it again. From callbacks: a promise for
// each time that it waits is a twentieth of what a request costs that comes in alone.

import { assert } from "#core/base";
import type { Machine, RunOutcome } from "#core/sched";
import { LiveHost } from "./live-host.ts";

/** Run `machine`, whose host is a LiveHost, to its end; the host's files and timers are let go of afterwards. */
export async function runLive(machine: Machine): Promise<Exclude<RunOutcome, "wait">> {
  const host = machine.host;
  assert(host instanceof LiveHost, "a live run has a live host");
  try {
    return await new Promise((resolve, reject) => {
      const goOn = (): void => {
        try {
          const outcome = machine.run();
          if (outcome === "wait") host.turn(goOn);
          else resolve(outcome);
        } catch (error) {
          reject(error);
        }
      };
      goOn();
    });
  } finally {
    await host.close();
  }
}
