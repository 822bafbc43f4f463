// Both readings of program order in one result: what is wrong in this run as it was, and what only the order of an iothread's
// handlers keeps from being wrong. Coverage, policies and drains are those of the run as it was.

import { byContract } from "./describe.ts";
import type { AnalysisResult, Finding } from "./findings.ts";
import type { AnalyzeOptions } from "./input.ts";

/** What a finding that only the task reading has says beside the rest. */
const BY_TASKS =
  "In this run only the order of an iothread's handlers orders them, which another schedule of the same contexts may turn round.";

/** The result of one trace under the thread reading, with what the task reading finds beside that; null where it can find no more. */
export function bothReadings(thread: AnalysisResult, task: AnalysisResult | null): AnalysisResult {
  const known = new Set(thread.findings.map(({ fingerprint }) => fingerprint));
  const more = (task?.findings ?? []).filter(
    // What luck orders by tasks, too, luck orders in the run as it was, or it is a race there.
    ({ rule, fingerprint }) => rule !== "covered-by-luck" && !known.has(fingerprint),
  );
  const findings: Finding[] = [
    ...thread.findings,
    ...more.map((finding) => ({ ...finding, why: `${finding.why} ${BY_TASKS}` })),
  ];
  const notes = [...thread.notes, noteOf(more.length)];
  return { ...thread, findings: findings.sort(byContract), reading: "both", notes };
}

function noteOf(more: number): string {
  const found =
    more === 0 ? "the second found no more" : `what the second alone found (${more}) says so`;
  return `Judged twice: with the handlers of one iothread in the order in which they ran, and ordered only by what posted them; ${found}.`;
}

/** `options` for one of the two readings: the task reading tells races alone, as policies and drains look the same to both. */
export function asThread(options: AnalyzeOptions): AnalyzeOptions {
  return { ...options, reading: "thread" };
}

export function asTask(options: AnalyzeOptions): AnalyzeOptions {
  return { ...options, reading: "task", policies: [], drains: false };
}
