// What the drains of a trace cost, as text: a row a site, dearest first.
//
//   began in                       drains  needless  edits  waited  stopped for
//   single drain of bdrv_append         3         0     12       5  1,203 events, at most 2.400 ms
//
// `needless`: drains that made nothing quiet and guarded nothing. `waited`: requests queued and jobs held up by it. `stopped for`:
// how long BlockBackends and jobs were stopped, added up; the time is between two bounds (passes/drain-cost.ts).

import type { DrainRow } from "../findings.ts";
import type { TextOptions } from "./text-report.ts";
import { counted, grouped, siteText } from "./words.ts";
import { cut } from "./wrap.ts";

const HEADS = ["drains", "needless", "edits", "waited"] as const;
const COLUMN = 10;

/** The table; ends with a newline. */
export function drainsText(rows: readonly DrainRow[], options: TextOptions): string {
  if (rows.length === 0) return "Nothing was drained.\n";
  const { paint, columns } = options;
  const names = rows.map((row) => `${row.kind} drain in ${siteText(row.site)}`);
  const wide = Math.min(Math.max(20, ...names.map((name) => name.length + 2)), columns - 40);
  const head = `${"began in".padEnd(wide) + HEADS.map((word) => word.padStart(COLUMN)).join("")}  stopped for`;
  const lines = rows.map((row, index) => {
    const cells = [row.count, row.needless, row.edits, row.requestsWaited + row.jobsPaused];
    const numbers = cells.map((cell) => grouped(cell).padStart(COLUMN)).join("");
    return `${cut(names[index] ?? "", wide - 1).padEnd(wide)}${numbers}  ${stoppedText(row)}`;
  });
  return `${[paint("dim", head), ...lines].join("\n")}\n`;
}

/** For how long its drains have stopped something, in words; of time no more than the readings of the clock tell. */
export function stoppedText({ stopped, stoppedEvents, stoppedNs, stoppedNsMax }: DrainRow): string {
  if (stopped === 0) return "nothing stopped";
  return [counted(stoppedEvents, "event"), timeText(stoppedNs, stoppedNsMax)]
    .filter((part) => part !== "")
    .join(", ");
}

function timeText(leastNs: number, mostNs: number | null): string {
  if (mostNs === null) return leastNs > 0 ? `at least ${milliseconds(leastNs)} ms` : "";
  const most = milliseconds(mostNs);
  return leastNs > 0 ? `${milliseconds(leastNs)} to ${most} ms` : `at most ${most} ms`;
}

function milliseconds(ns: number): string {
  return (ns / 1e6).toFixed(3);
}
