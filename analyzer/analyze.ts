// A whole trace at once, in one pass where that can be: few runs ask what two contexts other than main know of one another, and
// only those are read again (order/full.ts).

import { Analysis } from "./analysis.ts";
import type { AnalysisResult } from "./findings.ts";
import type { AnalyzeOptions, Clocks, TraceInput } from "./input.ts";
import { oncePerFingerprint } from "./once.ts";
import { OffMain } from "./order/full.ts";
import { bothReadings } from "./readings.ts";

/** Analyse a whole trace. */
export function analyze(trace: TraceInput, options: AnalyzeOptions = {}): AnalysisResult {
  const { again } = trace;
  if (again === undefined) return analyzeIn(trace, options, "vectors");
  try {
    return analyzeIn(trace, options, "main");
  } catch (error) {
    if (!(error instanceof OffMain)) throw error;
    return analyzeIn({ ...trace, batches: again() }, options, "vectors");
  }
}

function analyzeIn(trace: TraceInput, options: AnalyzeOptions, clocks: Clocks): AnalysisResult {
  const isBoth = options.reading === "both";
  const analysis = new Analysis(isBoth ? { ...options, reading: "thread" } : options, { clocks });
  const byTasks = isBoth
    ? new Analysis({ ...options, reading: "task", policies: [], drains: false }, { clocks })
    : null;
  for (const batch of trace.batches) {
    analysis.feed(batch);
    byTasks?.feed(batch);
  }
  const { sites, strings } = trace;
  const result = analysis.finish(sites, strings);
  return oncePerFingerprint(
    byTasks === null ? result : bothReadings(result, byTasks.finish(sites, strings)),
  );
}
