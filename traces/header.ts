// The header of a trace: everything about a run that is known before its first event.
//
// Replay obeys it (policy, patches, lock, seed, scenario), the reports use its site table. Provenance says where and when
// the recording was made; it is the only part that may differ between two recordings of the same run, so it stays
// outside comparison and digest.

import type { Site } from "#core/probe";

/** Version of the file format that this code writes; docs/trace-format.md has the history. */
export const FORMAT_VERSION = 1;

/** What a user asked to run. `file` and `digest` are set when it is a file of the user's own. */
export interface TraceScenario {
  readonly name: string;
  readonly file?: string;
  readonly digest?: string;
  readonly params: Readonly<Record<string, string>>;
}

/** Where and when a recording was made: outside comparison and digest. */
export interface TraceProvenance {
  readonly createdAt: string;
  readonly host: string;
  readonly node: string;
  readonly quiesce: string;
}

/** The header; see the file comment. */
export interface TraceHeader {
  readonly formatVersion: number;
  /** Version of the default scheduling policy (design D3): only choices that differ from it are recorded. */
  readonly schedulerPolicy: number;
  readonly coreVersion: string;
  readonly scenario: TraceScenario;
  readonly seed: number;
  readonly host: "live" | "simulated";
  readonly level: "inputs" | "full";
  /** Numbers of the patches of the series that were on, ascending. */
  readonly patchesOn: readonly number[];
  readonly lock: "none" | "aio";
  /** Entry i has the SiteId i + 1. */
  readonly sites: readonly Site[];
  readonly provenance: TraceProvenance;
}

/** `header` for the same run at another level: what `stripToInputs` and a regenerated full trace are written with. */
export function headerWithLevel(header: TraceHeader, level: TraceHeader["level"]): TraceHeader {
  return { ...header, level };
}

/** The part of the header that two recordings of one run share, as one text with a fixed order of keys. */
export function comparableHeader(header: TraceHeader): string {
  const { scenario } = header;
  const params = Object.entries(scenario.params).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return JSON.stringify([
    header.schedulerPolicy,
    header.coreVersion,
    [scenario.name, scenario.file ?? null, scenario.digest ?? null, params],
    header.seed,
    header.host,
    header.level,
    header.patchesOn,
    header.lock,
    header.sites.map(({ name, file, line }) => [name, file, line]),
  ]);
}
