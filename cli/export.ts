// quiesce export FILE --to std -o OUT: a trace in the form that another program reads.

import { closeSync, ftruncateSync, openSync, writeSync } from "node:fs";
import { siteText } from "#analyzer/reports";
import { QuiesceError } from "#core/base";
import type { Site } from "#core/probe";
import { fdSource } from "#traces";
import {
  type AbstractSource,
  QuiesceSource,
  RapidBinReader,
  rapidBinEvents,
  rapidBinHeader,
  rapidBinHeaderBytes,
  StdReader,
  stdLines,
} from "#traces/std";
import { ExitCode } from "./exit-codes.ts";
import { refuseOverwriting, writeReport } from "./output-file.ts";
import { programName } from "./program-name.ts";
import { Progress } from "./progress.ts";
import { recode } from "./recode.ts";
import type { Terminal } from "./terminal.ts";
import { incompleteness, shellWord, withTrace } from "./trace-file.ts";

export interface ExportOptions {
  readonly from: "quiesce" | "std" | "rapidbin";
  readonly to: "std" | "rapidbin" | "quiesce";
  /** Only of quiesce's own form. */
  readonly codec: "deflate" | "plain";
  readonly output: string;
  readonly names?: string;
}

export async function exportTrace(
  path: string,
  options: ExportOptions,
  terminal: Terminal,
): Promise<number> {
  refuseOverwriting("-o", options.output, [path]);
  refuseOverwriting("--names", options.names, [path, options.output]);
  const { from, to, codec, names } = options;
  if (to === "quiesce") {
    if (from !== "quiesce" || names !== undefined)
      throw new QuiesceError(
        "usage",
        "--to quiesce writes one of quiesce's own traces again: leave --from and --names out.",
      );
    return recode(path, options, terminal);
  }
  if (codec !== "deflate")
    throw new QuiesceError("usage", "--codec is for quiesce's own form: say --to quiesce, too.");
  if (from !== "quiesce") return convert(path, options, terminal);
  return withTrace(path, (reader) => {
    if (reader.header.level !== "full")
      throw new QuiesceError(
        "input",
        `${path}: The trace holds only inputs: make a full one first, with ${programName()} replay ${shellWord(path)} -o full.trace.`,
      );
    write(new QuiesceSource(reader.batches()), options, terminal);
    const names = options.names === undefined ? "" : namesText(reader.header.sites);
    const code =
      options.names === undefined ? 0 : writeReport(options.names, () => names, terminal);
    const wrong = incompleteness(path, reader);
    if (wrong === null) return code;
    terminal.stderr.write(`quiesce: ${wrong}\n`);
    return ExitCode.input;
  });
}

function convert(path: string, options: ExportOptions, terminal: Terminal): number {
  if (options.names !== undefined)
    throw new QuiesceError(
      "usage",
      "--names is for quiesce's own traces, whose locations are sites.",
    );
  const fd = openSync(path, "r");
  try {
    const file = fdSource(fd);
    write(
      options.from === "std" ? new StdReader(file) : new RapidBinReader(file),
      options,
      terminal,
    );
    return ExitCode.ok;
  } catch (error) {
    if (!(error instanceof QuiesceError)) throw error;
    throw new QuiesceError(error.kind, `${path}: ${error.message}`);
  } finally {
    closeSync(fd);
  }
}

function write(source: AbstractSource, { to, output }: ExportOptions, terminal: Terminal): void {
  const progress = new Progress(terminal);
  const fd = openSync(output, "w");
  let [events, position] = [0, 0];
  const append = (bytes: Uint8Array): void => {
    for (let done = 0; done < bytes.length; )
      done += writeSync(fd, bytes, done, bytes.length - done, position + done);
    position += bytes.length;
  };
  try {
    if (to === "rapidbin") append(new Uint8Array(rapidBinHeaderBytes));
    for (const block of source.blocks()) {
      append(to === "std" ? stdLines(block, source.names) : rapidBinEvents(block));
      events += block.count;
      progress.show(`Writing ${output}: ${events} events`);
    }
    position = 0;
    if (to === "rapidbin") append(rapidBinHeader(source.names, events));
  } catch (error) {
    // Half a trace would look like a whole one.
    ftruncateSync(fd);
    throw error;
  } finally {
    progress.clear();
    closeSync(fd);
  }
}

/** What each location stands for. */
function namesText(sites: readonly Site[]): string {
  const locations = Object.fromEntries(sites.map((site, index) => [index + 1, siteText(site)]));
  return `${JSON.stringify({ schemaVersion: 1, locations }, null, 1)}\n`;
}
