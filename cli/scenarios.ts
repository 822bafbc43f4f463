// quiesce scenarios: what can be recorded, with what the analyzer then says.

import { wrap } from "#analyzer/reports";
import type { Scenario } from "#explorer";
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
    .map(({ name, title }) => {
      const line = wrap(`${name.padEnd(width)}  `, title, columns);
      return `${paint("name", line.slice(0, width))}${line.slice(width)}\n`;
    })
    .join("");
}
