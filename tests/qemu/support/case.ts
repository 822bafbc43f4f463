// What one of QEMU's unit tests is here: a value with QEMU's name for it and a body that does the same and asserts the same.
//
// A family is the cases that one of our files has of one of QEMU's; `../families.ts` lists them all. How to write a case, with an
// example, is in README.md. Texts in a case (`differs`, `ownScheduleOnly`, `why` of a finding, `notApplicable`) are one or more
// whole sentences: docs/qemu-tests.md and docs/known-findings.md print them.

import type { LockRegime, PatchNumber, Polls, RunOutcome } from "#core/sched";
import type { DiskOptions, ExpectedFinding, SchedulerName } from "#explorer";
import type { CaseTest } from "./case-test.ts";

/** A finding that the analyzer is known to report in a case that passes, with the decision: a true one, and why. */
export interface DeclaredFinding extends ExpectedFinding {
  /** The decision in writing: why this is a true finding about the protocol and no mistake of ours. */
  readonly why: string;
  /** "always": in every schedule. "sometimes" (the default): in one at least. "rarely": perhaps in none of a hundred. */
  readonly when?: "always" | "sometimes" | "rarely";
}

/** A case; see the file comment. */
export interface QemuCase {
  /** QEMU's name of it, e.g. `/bdrv-drain/nested`. */
  readonly name: string;
  /** The test, at thread level in the main context. Absent only when the case does not apply. */
  readonly body?: (t: CaseTest) => Polls<void>;
  /** Why there is no body. */
  readonly notApplicable?: string;
  /** Where this is not QEMU's scenario or assertion, on purpose, and why. */
  readonly differs?: string;
  /** Patches of the series that are off. */
  readonly without?: readonly PatchNumber[];
  /** Default "none". */
  readonly lock?: LockRegime;
  /** The strategy of its own schedule. "default" runs a context until it blocks: what a quick machine does. */
  readonly schedule?: SchedulerName;
  /** Assertions that hold under the own schedule only: a key for each, used with `t.onlyOwnSchedule`, and the reason. */
  readonly ownScheduleOnly?: Readonly<Record<string, string>>;
  /** What the analyzer finds; default nothing. */
  readonly findings?: readonly DeclaredFinding[];
  /** How a run ends; default "ok". */
  readonly ends?: Exclude<RunOutcome, "wait">;
  /** Why nodes or BlockBackends are left at the end; without it there must be none. */
  readonly leaves?: string;
  /** Why the invariants that are checked after every step do not all hold; without it they must. */
  readonly breaksInvariants?: string;
  /** How the modelled disk behaves. */
  readonly disk?: DiskOptions;
  /** Not one of QEMU's: a variant of ours beside it, e.g. with a patch the other way. */
  readonly ours?: boolean;
}

/** Cases of one of QEMU's test files. */
export interface QemuFamily {
  /** QEMU's file, e.g. `tests/unit/test-bdrv-drain.c`. */
  readonly qemuFile: string;
  /** Ours, from the root of the project, e.g. `tests/qemu/bdrv-drain.ts`. */
  readonly file: string;
  readonly cases: readonly QemuCase[];
}
