// quiesce races --from std FILE: races of a trace that another program recorded, counted as RAPID counts them.

import { closeSync, fstatSync, openSync } from "node:fs";
import {
  analyzeFlat,
  type FlatFacts,
  type FlatOrder,
  type FlatResult,
  flatJson,
  flatText,
  irregularityText,
} from "#analyzer/flat";
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
  readonly json?: boolean;
  readonly failOn: string;
  /** The options that were given, as opposed to those that have their default. */
  readonly given: readonly string[];
}

/** Options that mean something for a foreign trace. */
const APPLICABLE: ReadonlySet<string> = new Set(["from", "order", "json", "failOn"]);

export async function racesForeign(
  paths: readonly string[],
  options: RacesForeignOptions,
  terminal: Terminal,
): Promise<number> {
  const path = onlyPath(paths, options);
  const started = process.hrtime.bigint();
  const result = analyzeFile(path, options, terminal);
  const facts: FlatFacts = {
    trace: path,
    from: options.from,
    tool: { name: "quiesce", version: quiesceVersion() },
    seconds: Number(process.hrtime.bigint() - started) / 1e9,
  };
  const text =
    options.json === true
      ? `${JSON.stringify(flatJson(result, facts), null, 2)}\n`
      : flatText(result, facts);
  await writeAll(terminal.stdout, text);
  const remark = irregularityText(result, path);
  if (remark !== null) terminal.stderr.write(`quiesce: ${remark}\n`);
  const isQuiet = options.failOn === "none" || options.failOn === "never";
  return result.racyEvents > 0 && !isQuiet ? ExitCode.findings : ExitCode.ok;
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

function analyzeFile(path: string, options: RacesForeignOptions, terminal: Terminal): FlatResult {
  const progress = new Progress(terminal);
  const fd = openSync(path, "r");
  try {
    if (fstatSync(fd).isDirectory())
      throw new QuiesceError("input", "This is a folder, not a trace.");
    const file = fdSource(fd);
    const source: AbstractSource =
      options.from === "std" ? new StdReader(file) : new RapidBinReader(file);
    return analyzeFlat(source, {
      order: options.order ?? "shb",
      onProgress: (events) => progress.show(`Analysing ${path}: ${grouped(events)} events`),
    });
  } catch (error) {
    if (!(error instanceof QuiesceError)) throw error;
    throw new QuiesceError(error.kind, `${path}: ${error.message}`);
  } finally {
    progress.clear();
    closeSync(fd);
  }
}
