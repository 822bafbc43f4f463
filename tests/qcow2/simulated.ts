// A run on the modelled disk, for tests that look at the disk itself. It is recorded, and the analyzer finds nothing in it.

import { assert } from "#core/base";
import type { Polls } from "#core/sched";
import {
  type DiskOptions,
  prepareRun,
  type Scenario,
  SimulatedHost,
  schedulerNamed,
  type World,
} from "#explorer";
import { judgingRecorder } from "../record-replay/findings.ts";

/** Run `body` to its end. */
export function runSimulated(
  seed: number,
  body: (world: World, host: SimulatedHost) => Polls<void>,
  disk: DiskOptions = {},
): void {
  const host = new SimulatedHost({ seed, disk });
  const scenario: Scenario = { name: "qcow2", title: "", main: (world) => body(world, host) };
  const scheduler = schedulerNamed("random", seed);
  const judged = judgingRecorder(scenario, { seed }, "simulated");
  const parts = { host, clients: host, scheduler, probe: judged.recorder };
  const machine = prepareRun(scenario, { seed }, parts);
  const outcome = machine.run();
  assert(outcome === "ok", "the run came to its end");
  const findings = judged.findings();
  if (findings.length > 0) throw new Error(`findings of the analyzer: ${findings.join("; ")}`);
}
