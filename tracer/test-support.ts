// What this folder's tests share.

import { FORMAT_VERSION, syntheticSites, type TraceHeader } from "#traces";

/** The header of recordings made in tests. */
export const headerForTests: TraceHeader = {
  formatVersion: FORMAT_VERSION,
  schedulerPolicy: 1,
  coreVersion: "0.1.0",
  scenario: { name: "made-up", params: {} },
  seed: 5,
  host: "simulated",
  level: "full",
  patchesOn: [2, 3, 4, 10, 11, 12],
  lock: "none",
  sites: syntheticSites,
  provenance: { createdAt: "", host: "", node: "", quiesce: "" },
};
