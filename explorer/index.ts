export { type ExternalClients, NO_CLIENTS } from "./external-clients.ts";
export { expectedLine, findingFits, findingLine } from "./finding-line.ts";
export { BLOCK_BYTES, type GuestCounts, runGuest } from "./guest.ts";
export {
  type AwaitedEvent,
  type HeldRun,
  type HeldSchedule,
  type HoldRequest,
  heldSchedules,
  runHeld,
} from "./held-run.ts";
export { InvariantChecker, InvariantViolation } from "./invariants/index.ts";
export { fillPattern, matchesPattern } from "./pattern.ts";
export {
  executed,
  type PredictedRace,
  type PredictedRaces,
  pairOf,
  predictedRaces,
} from "./predicted-races.ts";
export {
  inputsOf,
  type RecordedRun,
  type RecordOptions,
  recordScenario,
  recordTwice,
} from "./record-scenario.ts";
export {
  headerOf,
  paramsOf,
  prepareRun,
  type RunOptions,
  type RunParts,
  runScenario,
  type SimulatedRun,
  type SimulatedRunOptions,
  worldBuilder,
} from "./run-scenario.ts";
export type { Expectation, ExpectedFinding, Scenario } from "./scenario.ts";
export { SCENARIOS } from "./scenarios/index.ts";
export { ENTRIES } from "./scenarios/lock-entries.ts";
export * from "./schedulers/index.ts";
export {
  type DiskFault,
  type DiskOperation,
  type DiskOptions,
  SimulatedDisk,
  SimulatedFile,
} from "./simulated-disk.ts";
export { SimulatedHost, type SimulatedHostOptions } from "./simulated-host.ts";
export {
  runStorms,
  STORM_REGIMES,
  type StormRegime,
  type StormReport,
  stormCommand,
} from "./storm/run-storms.ts";
export type { StormTally } from "./storm/storm-state.ts";
export { World, type WorldParts } from "./world.ts";
