export { atomicityJson, atomicityText, lockSetText } from "./also-report.ts";
export { type AtomicityResult, type AtomicityViolation, analyzeAtomicity } from "./atomicity.ts";
export * from "./flat.ts";
export { analyzeLockSets, type LockSetResult } from "./lockset.ts";
export { IRREGULARITIES, type Irregularities, type Irregularity } from "./order-check.ts";
export type { FlatPair, FlatSite } from "./race-tally.ts";
export { type FlatFacts, flatJson, flatText, irregularityText } from "./report.ts";
