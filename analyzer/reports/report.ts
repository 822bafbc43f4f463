// What a report is made of: the analyses of one or more traces, the facts of each run, and the material for pictures.
//
// Every form of report (text, JSON, SARIF, HTML) is a pure function of this. None looks at a clock, so the same traces give
// the same bytes. Facts that only the command line knows, such as the command that replays a trace, come in as text.

import { type AnalysisResult, FINGERPRINT_VERSION } from "../findings.ts";
import type { RuleId } from "../rules.ts";
import type { FindingMaterial } from "./material.ts";
import type { Stacks } from "./stacks.ts";
import type { Standing } from "./standing.ts";
import type { Triage } from "./triage.ts";

/** What a trace's header says about its run, in words. */
export interface RunFacts {
  /** The trace as the user named it. */
  readonly trace: string;
  /** A few words that tell this run from the others of the report, e.g. "patches 10 and 11 off, no lock". */
  readonly label: string;
  readonly scenario: string;
  readonly seed: number;
  readonly host: string;
  readonly lock: string;
  readonly patchesOff: readonly number[];
  /** "full", or "inputs" when the trace was replayed first. */
  readonly level: string;
  /** Digest of the events, as `quiesce replay` prints it; "" when it was not computed. */
  readonly digest: string;
  /** The command that replays the trace; of the last events of a run, which cannot be replayed, the one that prints them. */
  readonly replayCommand: string;
  /** Of the last events of a run alone: the number of the first of them in the run, while findings count from 0. Else absent. */
  readonly firstEvent?: number;
}

/** One analysed trace. */
export interface TraceReport {
  readonly facts: RunFacts;
  readonly result: AnalysisResult;
  /** Entry i belongs to finding i; null where there is nothing to draw, or too many findings. */
  readonly material: readonly (FindingMaterial | null)[];
  /** Entry i says how finding i stands to baseline and suppressions; absent when there are neither. */
  readonly standings?: readonly Standing[];
  /** Call stacks at accesses, from a replay; absent when it was not replayed. */
  readonly stacks?: Stacks;
}

/** Everything that a report shows. */
export interface Report {
  readonly tool: { readonly name: "quiesce"; readonly version: string };
  readonly traces: readonly TraceReport[];
  /** What baseline and suppressions had to say; absent when there are neither. */
  readonly triage?: Triage;
  /** The page of a rule in docs/rules, as Markdown, for those that have one. */
  readonly ruleHelp?: Readonly<Partial<Record<RuleId, string>>>;
}

/** Version of the JSON shape; it grows by additions only. */
export const REPORT_SCHEMA_VERSION = 1;

/** The name of our fingerprint among those of a SARIF result. */
export const FINDING_PRINT = `quiesceFinding/v${FINGERPRINT_VERSION}`;
