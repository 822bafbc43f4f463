// quiesce replay FILE: run a recording again, and say that every event came out identical, or name the first difference.

import { counted, frameText, grouped } from "#analyzer/reports";
import { QuiesceError } from "#core/base";
import type { Divergence } from "#replay";
import { ExitCode } from "./exit-codes.ts";
import { refuseOverwriting } from "./output-file.ts";
import { programName } from "./program-name.ts";
import { Progress } from "./progress.ts";
import { executeSchedule } from "./replay-schedule.ts";
import { type Rerun, rerun } from "./rerun.ts";
import { type Moment, momentsAt } from "./stacks.ts";
import { painterFor, type Terminal } from "./terminal.ts";
import { headerText, incompleteness, shellWord, withTrace } from "./trace-file.ts";

export interface ReplayOptions {
  readonly output?: string;
  readonly json?: boolean;
  /** Replay up to this event, and show it. */
  readonly to?: number;
  /** Execute this schedule in place of the recorded one. */
  readonly schedule?: string;
}

const SCHEMA_VERSION = 1;

export async function replay(
  path: string,
  options: ReplayOptions,
  terminal: Terminal,
): Promise<number> {
  const { schedule } = options;
  refuseOverwriting("-o", options.output, schedule === undefined ? [path] : [path, schedule]);
  if (schedule !== undefined) return executeSchedule(path, schedule, options, terminal);
  if (options.to !== undefined) return replayTo(path, options.to, options, terminal);
  const progress = new Progress(terminal);
  return withTrace(path, async (reader) => {
    const result = await rerun({
      path,
      reader,
      ...(options.output === undefined ? {} : { output: options.output }),
      onProgress: (events) => progress.show(`Replaying ${path}: ${counted(events, "event")}`),
      onRemark: (sentence) => terminal.stderr.write(`quiesce: ${sentence}\n`),
    }).finally(() => progress.clear());
    const text =
      options.json === true
        ? `${JSON.stringify(asJson(path, result), null, 2)}\n`
        : asText(path, headerText(reader.header), result, terminal);
    terminal.stdout.write(text);
    const wrong = incompleteness(path, reader);
    if (result.divergence !== undefined) return ExitCode.diverged;
    if (wrong === null) return ExitCode.ok;
    terminal.stderr.write(`quiesce: ${wrong}\n`);
    return ExitCode.input;
  });
}

/** Replays up to `event`, and shows it with the functions that were running and the graph at that moment. */
async function replayTo(
  path: string,
  event: number,
  { output, json }: ReplayOptions,
  terminal: Terminal,
): Promise<number> {
  if (output !== undefined)
    throw new QuiesceError("usage", "--to shows one event and writes no trace: leave -o out.");
  return withTrace(path, async (reader) => {
    const moment = (await momentsAt(path, reader, [event], { withGraph: true })).get(event);
    if (moment === undefined)
      throw new QuiesceError(
        "usage",
        `${path}: The replay did not come to event ${event}: the run is shorter, or differs here; ${programName()} replay ${shellWord(path)} says which.`,
      );
    const text =
      json === true
        ? `${JSON.stringify({ schemaVersion: SCHEMA_VERSION, trace: path, event, ...moment }, null, 2)}\n`
        : momentText(`${path} (${headerText(reader.header)})`, event, moment);
    terminal.stdout.write(text);
    return ExitCode.ok;
  });
}

function momentText(run: string, event: number, { text, stack, graph }: Moment): string {
  const indented = (lines: readonly string[]) => lines.map((line) => `    ${line}\n`).join("");
  const functions = indented(stack.map(frameText));
  const nodes = indented(graph.trimEnd().split("\n"));
  return `${run}: event ${grouped(event)}\n\n  ${text}\n\n  running, innermost first:\n${functions}\n  the graph then:\n${nodes}`;
}

function asJson(
  path: string,
  { identical, events, digest, divergence, compared, complete }: Rerun,
): unknown {
  return {
    schemaVersion: SCHEMA_VERSION,
    trace: path,
    identical,
    events,
    digest,
    compared,
    complete,
    ...(divergence === undefined ? {} : { divergence }),
  };
}

/** Events before a divergence that the text shows; --json has all that there are. */
const BEFORE_SHOWN = 12;

function asText(path: string, run: string, result: Rerun, { stdout }: Terminal): string {
  const paint = painterFor(stdout);
  const { divergence, events, compared, digest, complete } = result;
  if (divergence === undefined) {
    const as = complete ? "identical" : "identical as far as the recording goes";
    const against = compared === events ? "" : `, ${grouped(compared)} of them recorded`;
    return `${path} (${run}): ${paint("good", as)}, ${counted(events, "event")}${against}, digest ${digest}\n`;
  }
  return [
    `${path} (${run}): ${paint("bad", "diverged")} at event ${grouped(divergence.index)}`,
    "",
    ...before(divergence).map((line) => paint("dim", `    ${line}`)),
    `  ${paint("strong", "recorded")}  ${divergence.expected}`,
    `  ${paint("strong", "replayed")}  ${divergence.actual}`,
    ...(divergence.graph === ""
      ? []
      : [
          "",
          "  the graph then:",
          ...divergence.graph
            .trimEnd()
            .split("\n")
            .map((line) => `    ${line}`),
        ]),
    "",
    `All ${divergence.before.length} events before it: ${programName()} replay ${shellWord(path)} --json`,
    "",
  ].join("\n");
}

function before({ before: lines }: Divergence): string[] {
  const left = lines.length - BEFORE_SHOWN;
  return [...(left > 0 ? [`… ${grouped(left)} more`] : []), ...lines.slice(-BEFORE_SHOWN)];
}
