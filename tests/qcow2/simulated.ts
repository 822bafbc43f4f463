// A run on the modelled disk, for tests that look at the disk itself.

import { assert } from "#core/base";
import { NullProbe } from "#core/probe";
import type { Polls } from "#core/sched";
import {
  type DiskOptions,
  prepareRun,
  type Scenario,
  SimulatedHost,
  schedulerNamed,
  type World,
} from "#explorer";

/** Run `body` to its end. */
export function runSimulated(
  seed: number,
  body: (world: World, host: SimulatedHost) => Polls<void>,
  disk: DiskOptions = {},
): void {
  const host = new SimulatedHost({ seed, disk });
  const scenario: Scenario = { name: "qcow2", title: "", main: (world) => body(world, host) };
  const scheduler = schedulerNamed("random", seed);
  const parts = { host, clients: host, scheduler, probe: new NullProbe() };
  const machine = prepareRun(scenario, { seed }, parts);
  const outcome = machine.run();
  assert(outcome === "ok", "the run came to its end");
}
