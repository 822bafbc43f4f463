export * from "./flat.ts";
export { IRREGULARITIES, type Irregularities, type Irregularity } from "./order-check.ts";
export type { FlatPair, FlatSite } from "./race-tally.ts";
