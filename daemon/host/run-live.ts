// The asynchronous rim of a live run: run the machine until it must wait, let libuv work, run it again.

import { assert } from "#core/base";
import type { Machine, RunOutcome } from "#core/sched";
import { LiveHost } from "./live-host.ts";

/** Run `machine`, whose host is a LiveHost, to its end; the host's files and timers are let go of afterwards. */
export async function runLive(machine: Machine): Promise<Exclude<RunOutcome, "wait">> {
  const host = machine.host;
  assert(host instanceof LiveHost, "a live run has a live host");
  try {
    for (;;) {
      const outcome = machine.run();
      if (outcome !== "wait") return outcome;
      await host.turn();
    }
  } finally {
    await host.close();
  }
}
