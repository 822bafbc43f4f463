// Helpers of this folder's tests.

import { FORMAT_VERSION, type TraceHeader } from "./header.ts";
import { traceBytes } from "./memory.ts";
import { parseText } from "./parse-text.ts";
import type { TraceWriterOptions } from "./writer.ts";

/** A header with something in every field. */
export const headerForTests: TraceHeader = {
  formatVersion: FORMAT_VERSION,
  schedulerPolicy: 1,
  coreVersion: "0.1.0",
  scenario: { name: "drawn", params: { depth: "16", size: "1M" } },
  seed: 7,
  host: "simulated",
  level: "full",
  patchesOn: [2, 3, 4, 10, 11, 12],
  lock: "none",
  sites: [],
  provenance: { createdAt: "2026-01-01T00:00:00Z", host: "here", node: "20", quiesce: "0.1.0" },
};

/** The file of a trace that is drawn as text. */
export function drawn(text: string, options: TraceWriterOptions = {}): Uint8Array {
  const { batch, strings, sites } = parseText(text);
  return traceBytes({ ...headerForTests, sites }, batch, strings, options);
}
