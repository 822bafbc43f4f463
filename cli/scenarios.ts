// quiesce scenarios: what can be recorded, with what the analyzer then says.

import { wrap } from "#analyzer/reports";
import type { Expectation, Scenario } from "#explorer";
import { ExitCode } from "./exit-codes.ts";
import { allScenarios } from "./find-scenario.ts";
import { columnsOf, painterFor, type Terminal } from "./terminal.ts";

export interface ScenariosOptions {
  readonly json?: boolean;
}

const SCHEMA_VERSION = 1;

export async function scenarios(options: ScenariosOptions, terminal: Terminal): Promise<number> {
  const known = allScenarios();
  terminal.stdout.write(
    options.json === true ? `${JSON.stringify(asJson(known), null, 2)}\n` : asText(known, terminal),
  );
  return ExitCode.ok;
}

function asJson(known: readonly Scenario[]): unknown {
  return {
    schemaVersion: SCHEMA_VERSION,
    scenarios: known.map(({ name, title, params, expected }) => ({
      name,
      title,
      params: params ?? {},
      expected: expected ?? [],
    })),
  };
}

function asText(known: readonly Scenario[], { stdout }: Terminal): string {
  const paint = painterFor(stdout);
  const width = Math.max(...known.map(({ name }) => name.length));
  const columns = columnsOf(stdout);
  return known
    .map(({ name, title, expected }) => {
      const line = wrap(`${name.padEnd(width)}  `, `${title}${hintOf(expected)}`, columns);
      return `${paint("name", line.slice(0, width))}${line.slice(width)}\n`;
    })
    .join("");
}

/** How to record what a scenario has to show: where the plain run shows something, but rests on no edge, the run that does is meant. */
function hintOf(expected: Scenario["expected"] = []): string {
  const shows = expected.filter(({ finds }) => finds.length > 0);
  const rests = ({ restsOn = [] }: Expectation): boolean => restsOn.length > 0;
  const plain = shows.find(isPlain);
  const told = plain === undefined ? shows[0] : [plain, ...shows].find(rests);
  if (told === undefined || isPlain(told)) return "";
  const { without = [], lock } = told;
  const patches = without.length === 0 ? "" : ` --without-patch ${without.join(",")}`;
  return ` (try${patches}${lock === "aio" ? " --lock aio" : ""})`;
}

/** Whether it is the run without any option. */
function isPlain({ without = [], lock }: Expectation): boolean {
  return without.length === 0 && lock !== "aio";
}
