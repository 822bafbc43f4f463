// Running a scenario: a machine around its main, on whatever host; and in one call on the simulated one.
//
// Nothing asynchronous here: a live run is `prepareRun` with the live host, and the rim of daemon/host that runs its machine.
// Replay builds the same machine from a trace's header with `worldBuilder`.

import { QuiesceError } from "#core/base";
import { type ProbeBase, siteTable } from "#core/probe";
import {
  type AroundGraphOp,
  type AtEntry,
  type Host,
  type LockRegime,
  Machine,
  type PatchNumber,
  type Polls,
  type RunOutcome,
  SCHEDULER_POLICY,
  type Scheduler,
  seriesWithout,
} from "#core/sched";
import type { WorldBuilder } from "#replay";
import type { TraceHeader, TraceProvenance } from "#traces";
import { type ExternalClients, NO_CLIENTS } from "./external-clients.ts";
import { InvariantChecker } from "./invariants/index.ts";
import type { Scenario } from "./scenario.ts";
import { type SchedulerName, schedulerNamed } from "./schedulers/index.ts";
import type { DiskOptions } from "./simulated-disk.ts";
import { SimulatedHost } from "./simulated-host.ts";
import { World } from "./world.ts";

/** Steps after which a run is called endless, unless the scenario says otherwise: a demo run takes some hundred thousand. */
const STEPS_MAX = 20_000_000;

/** What a run is asked for, on any host. */
export interface RunOptions {
  readonly seed: number;
  /** Parameters that differ from the scenario's defaults. */
  readonly params?: Readonly<Record<string, string>>;
  /** Patches of the series that are off. */
  readonly without?: readonly PatchNumber[];
  readonly lock?: LockRegime;
  readonly imagesDir?: string;
  /** Runs around every operation on the graph: to try out what a report advises. */
  readonly aroundGraphOp?: AroundGraphOp;
  /** Told of every function that states its domain, when it is entered. */
  readonly atEntry?: AtEntry;
  /** Checks what must hold after every step; its probe is put before the run's own. */
  readonly checkInvariants?: boolean;
}

/** The parts that a host's owner provides. */
export interface RunParts {
  readonly host: Host;
  readonly clients: ExternalClients;
  readonly scheduler: Scheduler;
  readonly probe: ProbeBase;
}

/** A machine that runs `scenario`, started: call its `run`. */
export function prepareRun(scenario: Scenario, options: RunOptions, parts: RunParts): Machine {
  const checker = options.checkInvariants === true ? new InvariantChecker(parts.probe) : null;
  const machine: Machine = new Machine({
    host: parts.host,
    scheduler: parts.scheduler,
    probe: checker?.probe ?? parts.probe,
    ...(checker === null ? {} : { afterStep: () => checker.check(machine) }),
    series: seriesWithout(options.without),
    lock: options.lock ?? "none",
    stepsMax: scenario.stepsMax ?? STEPS_MAX,
    ...(options.aroundGraphOp === undefined ? {} : { aroundGraphOp: options.aroundGraphOp }),
    ...(options.atEntry === undefined ? {} : { atEntry: options.atEntry }),
  });
  const world = new World({
    seed: options.seed,
    params: paramsOf(scenario, options.params ?? {}),
    imagesDir: options.imagesDir ?? "images",
    clients: parts.clients,
    checker,
  });
  const main: Polls<void> = scenario.main(world);
  // A user's file is not type-checked.
  if (typeof main?.next !== "function")
    throw new QuiesceError(
      "usage",
      `main of the scenario ${scenario.name} is no generator: write *main(world) { … }.`,
    );
  machine.start(main);
  return machine;
}

/** What a simulated run is asked for. */
export interface SimulatedRunOptions extends RunOptions {
  readonly probe: ProbeBase;
  readonly scheduler?: SchedulerName;
  /** In place of the scenario's own. */
  readonly disk?: DiskOptions;
}

/** How a simulated run ended; the machine and the host are there to be looked at. */
export interface SimulatedRun {
  readonly outcome: Exclude<RunOutcome, "wait">;
  readonly machine: Machine;
  readonly host: SimulatedHost;
}

/** Run `scenario` on the simulated host to its end. */
export function runScenario(scenario: Scenario, options: SimulatedRunOptions): SimulatedRun {
  const { seed, probe } = options;
  const disk = options.disk ?? scenario.disk;
  const host = new SimulatedHost(disk === undefined ? { seed } : { seed, disk });
  const scheduler = schedulerNamed(options.scheduler ?? "random", seed);
  const machine = prepareRun(scenario, options, { host, clients: host, scheduler, probe });
  const outcome = machine.run();
  if (outcome === "wait") throw new Error("a simulated host never waits");
  return { outcome, machine, host };
}

/** The header of a recording of this run. */
export function headerOf(
  scenario: Scenario,
  options: RunOptions,
  recording: {
    readonly host: "live" | "simulated";
    readonly level: "inputs" | "full";
    readonly coreVersion: string;
    readonly formatVersion: number;
    readonly provenance: TraceProvenance;
    /** Set when the scenario is a file of the user's. */
    readonly file?: string;
    readonly digest?: string;
  },
): TraceHeader {
  const { host, level, coreVersion, formatVersion, provenance, file, digest } = recording;
  return {
    formatVersion,
    schedulerPolicy: SCHEDULER_POLICY,
    coreVersion,
    scenario: {
      name: scenario.name,
      ...(file === undefined ? {} : { file }),
      ...(digest === undefined ? {} : { digest }),
      params: paramsOf(scenario, options.params ?? {}),
    },
    seed: options.seed,
    host,
    level,
    patchesOn: [...seriesWithout(options.without)].sort((a, b) => a - b),
    lock: options.lock ?? "none",
    sites: siteTable,
    provenance,
  };
}

/** Builds for replay the machine that a header describes; `scenarioOf` finds the scenario. */
export function worldBuilder(scenarioOf: (header: TraceHeader) => Scenario): WorldBuilder {
  return (header, parts) => {
    const on = new Set(header.patchesOn);
    return prepareRun(
      scenarioOf(header),
      {
        seed: header.seed,
        params: header.scenario.params,
        without: [...seriesWithout()].filter((patch) => !on.has(patch)),
        lock: header.lock,
      },
      { ...parts, clients: NO_CLIENTS },
    );
  };
}

/** The scenario's parameters with those that were given; an unknown name is the user's mistake. */
export function paramsOf(
  scenario: Scenario,
  given: Readonly<Record<string, string>>,
): Record<string, string> {
  const defaults = scenario.params ?? {};
  for (const name of Object.keys(given)) {
    if (Object.hasOwn(defaults, name)) continue;
    const known = Object.keys(defaults).join(", ") || "none";
    throw new QuiesceError(
      "usage",
      `The scenario ${scenario.name} has no parameter "${name}"; it has: ${known}.`,
    );
  }
  return { ...defaults, ...given };
}
