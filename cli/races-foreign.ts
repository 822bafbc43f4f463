// quiesce races --from std FILE: races of a trace that another program recorded, counted as RAPID counts them.

import { closeSync, fstatSync, openSync } from "node:fs";
import {
  type AtomicityResult,
  analyzeAtomicity,
  analyzeFlat,
  analyzeLockSets,
  atomicityJson,
  atomicityText,
  type FlatFacts,
  type FlatOrder,
  type FlatResult,
  flatJson,
  flatText,
  irregularityText,
  type LockSetResult,
  lockSetText,
} from "#analyzer/flat";
import {
  type Prediction,
  type PredictResult,
  predictionJson,
  predictionText,
  predictRaces,
} from "#analyzer/predict";
import { grouped } from "#analyzer/reports";
import { QuiesceError } from "#core/base";
import { fdSource } from "#traces";
import { type AbstractSource, RapidBinReader, StdReader } from "#traces/std";
import { ExitCode } from "./exit-codes.ts";
import { Progress } from "./progress.ts";
import { type Terminal, writeAll } from "./terminal.ts";
import { quiesceVersion } from "./version.ts";

export interface RacesForeignOptions {
  readonly from: "std" | "rapidbin";
  readonly order?: FlatOrder;
  readonly predict?: Prediction;
  readonly also?: readonly ("lockset" | "atomicity")[];
  readonly json?: boolean;
  readonly failOn: string;
  /** The options that were given, as opposed to those that have their default. */
  readonly given: readonly string[];
}

/** Options that mean something for a foreign trace. */
const APPLICABLE: ReadonlySet<string> = new Set([
  "from",
  "order",
  "predict",
  "also",
  "json",
  "failOn",
]);

export async function racesForeign(
  paths: readonly string[],
  options: RacesForeignOptions,
  terminal: Terminal,
): Promise<number> {
  const path = onlyPath(paths, options);
  const result = withSource(path, options, terminal, (source, onProgress) =>
    analyzeFlat(source, { order: options.order ?? "shb", onProgress }),
  );
  const { predict: method } = options;
  const prediction =
    method === undefined
      ? null
      : withSource(path, options, terminal, (source, onProgress) =>
          predictRaces(source, { method, onProgress }),
        );
  const also = options.also ?? [];
  const lockSet = also.includes("lockset")
    ? withSource(path, options, terminal, (source) => analyzeLockSets(source))
    : null;
  const atomicity = also.includes("atomicity")
    ? withSource(path, options, terminal, (source) => analyzeAtomicity(source))
    : null;
  const facts: FlatFacts = {
    trace: path,
    from: options.from,
    tool: { name: "quiesce", version: quiesceVersion() },
  };
  const report = { result, prediction, lockSet, atomicity, facts };
  await writeAll(terminal.stdout, options.json === true ? asJson(report) : asText(report));
  const remark = irregularityText(result, path);
  if (remark !== null) terminal.stderr.write(`quiesce: ${remark}\n`);
  const isQuiet = options.failOn === "none" || options.failOn === "never";
  // The lock discipline alone proves no race: programs hand things over in other ways.
  const found = [result.racyEvents, prediction?.racyEvents, atomicity?.violations.length];
  const isRacy = found.some((count) => (count ?? 0) > 0);
  return isRacy && !isQuiet ? ExitCode.findings : ExitCode.ok;
}

/** One file, and no option that is about drains or about the sites of a block layer. */
function onlyPath(paths: readonly string[], options: RacesForeignOptions): string {
  const [path, ...others] = paths;
  if (path === undefined || others.length > 0)
    throw new QuiesceError("usage", `--from ${options.from} takes one trace at a time.`);
  if (options.failOn === "new")
    throw new QuiesceError(
      "usage",
      `--fail-on new is for quiesce's own traces, which have baselines.`,
    );
  for (const name of options.given) {
    if (APPLICABLE.has(name)) continue;
    const flag = name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    throw new QuiesceError(
      "usage",
      `--${flag} is for quiesce's own traces: leave it out with --from ${options.from}.`,
    );
  }
  return path;
}

interface ForeignReport {
  readonly result: FlatResult;
  readonly prediction: PredictResult | null;
  readonly lockSet: LockSetResult | null;
  readonly atomicity: AtomicityResult | null;
  readonly facts: FlatFacts;
}

function asJson({ result, prediction, lockSet, atomicity, facts }: ForeignReport): string {
  const data = flatJson(result, facts);
  const predicted =
    prediction === null
      ? {}
      : { prediction: predictionJson(prediction, result.pairs, result.names) };
  const also = {
    ...(lockSet === null ? {} : { lockSet }),
    ...(atomicity === null ? {} : { atomicity: atomicityJson(atomicity, result.names) }),
  };
  return `${JSON.stringify({ ...data, ...predicted, ...also }, null, 2)}\n`;
}

function asText({ result, prediction, lockSet, atomicity, facts }: ForeignReport): string {
  const { names, pairs } = result;
  return [
    flatText(result, facts),
    ...(prediction === null ? [] : [predictionText(prediction, pairs, names)]),
    ...(lockSet === null ? [] : [lockSetText(lockSet)]),
    ...(atomicity === null ? [] : [atomicityText(atomicity, names)]),
  ].join("\n");
}

/** Reads the file at `path` from its beginning. */
function withSource<T>(
  path: string,
  options: RacesForeignOptions,
  terminal: Terminal,
  read: (source: AbstractSource, onProgress: (events: number) => void) => T,
): T {
  const progress = new Progress(terminal);
  const fd = openSync(path, "r");
  try {
    if (fstatSync(fd).isDirectory())
      throw new QuiesceError("input", "This is a folder, not a trace.");
    const file = fdSource(fd);
    const source: AbstractSource =
      options.from === "std" ? new StdReader(file) : new RapidBinReader(file);
    return read(source, (events) => progress.show(`Analysing ${path}: ${grouped(events)} events`));
  } catch (error) {
    if (!(error instanceof QuiesceError)) throw error;
    throw new QuiesceError(error.kind, `${path}: ${error.message}`);
  } finally {
    progress.clear();
    closeSync(fd);
  }
}
