// Judging a trace: what `races` and `demo` share. Reads it once for the analysis, and once more for the pictures and the
// digest where a report needs them. A trace that holds only inputs is replayed to a full one first.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { type AnalysisResult, analyze } from "#analyzer";
import { collectMaterial, type RunFacts, type TraceReport } from "#analyzer/reports";
import type { EventBatch } from "#core/probe";
import type { Divergence } from "#replay";
import { TraceDigest, type TraceReader } from "#traces";
import { rerun } from "./rerun.ts";
import { incompleteness, labelOf, patchesOff, shellWord, withTrace } from "./trace-file.ts";

/** A judged trace. */
export interface Judged {
  readonly report: TraceReport;
  /** What is wrong with the file, as a sentence; null when it is all there. */
  readonly incomplete: string | null;
}

/** What to do beside the analysis. */
export interface JudgeOptions {
  /** Collect material for pictures and code flows, and the digest. */
  readonly material: boolean;
  readonly onProgress?: (what: string) => void;
  /** Sentences for the user, e.g. that the trace is replayed first. */
  readonly onRemark?: (sentence: string) => void;
}

/** Thrown when an inputs trace cannot be replayed to a full one. */
export class ReplayDiverged extends Error {
  readonly divergence: Divergence;
  constructor(path: string, divergence: Divergence) {
    super(
      `${path}: replay diverged at input ${divergence.index}; quiesce replay ${shellWord(path)} shows where.`,
    );
    this.divergence = divergence;
  }
}

/** Analyse the trace at `path`. */
export async function judge(path: string, options: JudgeOptions): Promise<Judged> {
  return withTrace(path, async (reader) => {
    if (reader.header.level === "full") return judgeFull(path, reader, "full", options);
    options.onRemark?.(`${path} holds only inputs: replaying it to a full trace first.`);
    const folder = mkdtempSync(join(tmpdir(), "quiesce-replay-"));
    try {
      const full = resolve(folder, "full.trace");
      return await judgeInputs(path, reader, full, options);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
}

async function judgeInputs(
  path: string,
  inputs: TraceReader,
  output: string,
  options: JudgeOptions,
): Promise<Judged> {
  const { divergence } = await rerun({
    path,
    reader: inputs,
    output,
    onProgress: (events) => options.onProgress?.(`Replaying ${path}: ${events} events`),
    ...(options.onRemark === undefined ? {} : { onRemark: options.onRemark }),
  });
  if (divergence !== undefined) throw new ReplayDiverged(path, divergence);
  const incomplete = incompleteness(path, inputs);
  const judged = await withTrace(output, (full) => judgeFull(path, full, "inputs", options));
  return { ...judged, incomplete };
}

function judgeFull(
  path: string,
  reader: TraceReader,
  level: string,
  options: JudgeOptions,
): Judged {
  const { strings, header } = reader;
  options.onProgress?.(`Analysing ${path}`);
  const result = analyze({ batches: reader.batches(), sites: header.sites, strings });
  const incomplete = incompleteness(path, reader);
  let digest = "";
  let material: TraceReport["material"] = result.findings.map(() => null);
  if (options.material) {
    options.onProgress?.(`Drawing ${path}`);
    const sum = new TraceDigest(header);
    const source = digesting(reader, sum);
    // The collector stops when it has seen enough, which must not close the source: the digest needs the rest.
    const batches = { [Symbol.iterator]: () => ({ next: () => source.next() }) };
    material = collectMaterial({ batches, sites: header.sites, strings }, result.findings);
    for (const _ of source);
    digest = sum.finish(strings);
  }
  return { report: { facts: factsOf(path, reader, level, digest), result, material }, incomplete };
}

function* digesting(
  reader: TraceReader,
  digest: TraceDigest,
): Generator<EventBatch, void, undefined> {
  for (const batch of reader.batches()) {
    digest.add(batch);
    yield batch;
  }
}

function factsOf(path: string, { header }: TraceReader, level: string, digest: string): RunFacts {
  const { scenario, seed, host, lock } = header;
  return {
    trace: path,
    label: labelOf(header),
    scenario: scenario.name,
    seed,
    host,
    lock,
    patchesOff: patchesOff(header),
    level,
    digest,
    replayCommand: `quiesce replay ${shellWord(path)}`,
  };
}

export type { AnalysisResult };
