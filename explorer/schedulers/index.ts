// The scheduling strategies by name; one a file.

import { assert } from "#core/base";
import type { Scheduler } from "#core/sched";
import { streamOf } from "../streams.ts";
import { DefaultPolicy } from "./default-policy.ts";
import { Pct } from "./pct.ts";
import { RandomSwitch } from "./random-switch.ts";
import { RoundRobin } from "./round-robin.ts";

/** The strategies that a run can be asked for; `make` takes the run's seed. */
export const SCHEDULERS = {
  default: () => new DefaultPolicy(),
  random: (seed) => new RandomSwitch(streamOf(seed, "schedule")),
  "round-robin": () => new RoundRobin(),
  pct: (seed) => new Pct(streamOf(seed, "schedule")),
} as const satisfies Readonly<Record<string, (seed: number) => Scheduler>>;

/** Name of a strategy. */
export type SchedulerName = keyof typeof SCHEDULERS;

/** A fresh strategy for the run of `seed`. */
export function schedulerNamed(name: SchedulerName, seed: number): Scheduler {
  assert(Object.hasOwn(SCHEDULERS, name), "a strategy is called by its name");
  return SCHEDULERS[name](seed);
}

export { DefaultPolicy, Pct, RandomSwitch, RoundRobin };
