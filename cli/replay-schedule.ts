// quiesce replay FILE --schedule SCHEDULE: execute the recorded run under another schedule, and say whether its race is there.

import { writeFileSync } from "node:fs";
import { analyze } from "#analyzer";
import { QuiesceError } from "#core/base";
import { executed, pairOf } from "#explorer";
import { bytesSource, TraceReader } from "#traces";
import { ExitCode } from "./exit-codes.ts";
import { findRecordedScenario } from "./find-scenario.ts";
import { readSchedule, refuseLive } from "./predictions.ts";
import { programName } from "./program-name.ts";
import { painterFor, type Terminal } from "./terminal.ts";
import { headerText, shellWord, withTrace } from "./trace-file.ts";

const SCHEMA_VERSION = 1;

/** Exits with 0 when the run came as the schedule wants it and has the race, else with 4. */
export async function executeSchedule(
  path: string,
  schedulePath: string,
  options: { readonly output?: string; readonly json?: boolean; readonly to?: number },
  terminal: Terminal,
): Promise<number> {
  const { output, json, to } = options;
  if (to !== undefined)
    throw new QuiesceError("usage", "--to is about the recorded run: leave --schedule out.");
  return withTrace(path, async (reader) => {
    refuseLive(path, reader);
    const { schedule, race } = readSchedule(schedulePath, reader);
    const { scenario } = await findRecordedScenario(reader.header, path);
    const { bytes, isAsAsked } = executed(scenario, reader, schedule);
    if (output !== undefined) writeFileSync(output, bytes);
    const run = TraceReader.open(bytesSource(bytes));
    const { sites } = run.header;
    const result = analyze({ batches: run.batches(), sites, strings: run.strings });
    const found = result.findings.find((one) => one.rule === "race" && pairOf(one) === race);
    const isShown = isAsAsked && found !== undefined;
    const facts = { race, isAsAsked, isShown, events: result.events, finding: found ?? null };
    const text =
      json === true
        ? `${JSON.stringify({ schemaVersion: SCHEMA_VERSION, trace: path, schedule: schedulePath, ...facts }, null, 2)}\n`
        : asText(`${path} (${headerText(reader.header)})`, facts, output, terminal);
    terminal.stdout.write(text);
    return isShown ? ExitCode.ok : ExitCode.diverged;
  });
}

function asText(
  run: string,
  facts: {
    readonly race: string;
    readonly isAsAsked: boolean;
    readonly isShown: boolean;
    readonly finding: { readonly title: string } | null;
  },
  output: string | undefined,
  { stdout }: Terminal,
): string {
  const paint = painterFor(stdout);
  const more =
    output === undefined ? "" : `All of it: ${programName()} races ${shellWord(output)}\n`;
  if (facts.isShown)
    return `${run}, executed as scheduled: ${paint("bad", "the race is there")}. ${facts.finding?.title}\n${more}`;
  const why = facts.isAsAsked
    ? "but nothing races there"
    : "but it did not come as the schedule wants it";
  return `${run}, executed: ${why} (${facts.race}).\n${more}`;
}
