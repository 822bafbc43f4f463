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

/** How to record a scenario that has nothing to show as it is. */
function hintOf(expected: Scenario["expected"]): string {
  if (expected === undefined || expected.some(isShownPlainly)) return "";
  const shows = expected.find(({ finds }) => finds.length > 0);
  if (shows?.without === undefined) return "";
  const lock = shows.lock === "aio" ? " --lock aio" : "";
  return ` (try --without-patch ${shows.without.join(",")}${lock})`;
}

function isShownPlainly({ without, lock, finds }: Expectation): boolean {
  return (without ?? []).length === 0 && lock !== "aio" && finds.length > 0;
}
