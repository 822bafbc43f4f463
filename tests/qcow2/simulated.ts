// A run on the modelled disk, for tests that look at the disk itself. It is recorded, replays, and the analyzer finds nothing in it.

import type { Polls } from "#core/sched";
import type { DiskOptions, SimulatedHost, World } from "#explorer";
import { runSimulatedSoundly } from "../record-replay/sound-run.ts";

/** Run `main` to its end. */
export function runSimulated(
  seed: number,
  main: (world: World, host: SimulatedHost) => Polls<void>,
  disk: DiskOptions = {},
): void {
  runSimulatedSoundly({ seed, main, disk });
}
