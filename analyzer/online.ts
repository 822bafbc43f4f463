// A trace that is judged while it grows, by what was asked for: the readings, the policies, the cost of drains. The results are those of
// `analyze`, but that what luck covers is not judged again.

import type { EventBatch, Site } from "#core/probe";
import { Analysis } from "./analysis.ts";
import type { AnalysisResult } from "./findings.ts";
import type { AnalyzeOptions } from "./input.ts";
import { oncePerFingerprint } from "./once.ts";
import { asTask, asThread, bothReadings } from "./readings.ts";

export class OnlineAnalysis {
  readonly #main: Analysis;
  /** The task reading beside the other, where both are asked for. */
  readonly #byTask: Analysis | null;

  constructor(options: AnalyzeOptions = {}) {
    const isBoth = options.reading === "both";
    this.#main = new Analysis(isBoth ? asThread(options) : options);
    this.#byTask = isBoth ? new Analysis(asTask(options)) : null;
  }

  /** The next events. */
  feed(batch: EventBatch): void {
    this.#main.feed(batch);
    this.#byTask?.feed(batch);
  }

  /** How many findings there are so far; `soFar` has something new when this has grown. */
  get noted(): number {
    return this.#main.noted + (this.#byTask?.noted ?? 0);
  }

  /** The findings so far. What only the end of the run can show is not among them. */
  soFar(sites: readonly Site[], strings: readonly string[]): AnalysisResult {
    return this.#joined((analysis) => analysis.soFar(sites, strings));
  }

  /** The end of the trace. */
  finish(sites: readonly Site[], strings: readonly string[]): AnalysisResult {
    return this.#joined((analysis) => analysis.finish(sites, strings));
  }

  #joined(resultOf: (analysis: Analysis) => AnalysisResult): AnalysisResult {
    const result = resultOf(this.#main);
    const byTask = this.#byTask;
    return oncePerFingerprint(byTask === null ? result : bothReadings(result, resultOf(byTask)));
  }
}
