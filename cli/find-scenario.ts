// Finds the scenario that the user means: a built-in name, or a file of the user's own.

import { existsSync } from "node:fs";
import { dirname, isAbsolute, join } from "node:path";
import { QuiesceError } from "#core/base";
import { SCENARIOS, type Scenario } from "#explorer";
import type { TraceHeader } from "#traces";
import { DAEMON, daemonScenario } from "./daemon-scenario.ts";
import { EXPORT_SCENARIOS } from "./export-scenarios.ts";
import { loadScenarioFile } from "./load-scenario.ts";
import { programName } from "./program-name.ts";

/** A scenario, and how it was called. */
export interface FoundScenario {
  readonly scenario: Scenario;
  /** What the user typed: it finds the scenario again. */
  readonly argument: string;
  /** Set when it is a file of the user's. */
  readonly file?: string;
  readonly digest?: string;
}

/** The built-in scenarios: those of a block layer, and those of a daemon. */
const BUILT_IN: readonly Scenario[] = [...SCENARIOS, ...EXPORT_SCENARIOS];

/** The built-in scenarios, by name. */
export function allScenarios(): readonly Scenario[] {
  return [...BUILT_IN].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** The scenario that `argument` names; throws a usage error that suggests others when there is none. */
export async function findScenario(argument: string): Promise<FoundScenario> {
  if (isFile(argument)) return foundFile(argument, argument);
  const scenario = BUILT_IN.find(({ name }) => name === argument);
  if (scenario !== undefined) return { scenario, argument };
  throw new QuiesceError("usage", `There is no scenario "${argument}". ${suggestion(argument)}`);
}

/** The scenario that a trace was recorded from. A user's file is looked for where it was, and beside the trace. */
export async function findRecordedScenario(
  header: TraceHeader,
  tracePath: string,
): Promise<FoundScenario> {
  const { name, file } = header.scenario;
  if (file === undefined) {
    const scenario = name === DAEMON ? daemonScenario() : BUILT_IN.find((one) => one.name === name);
    if (scenario !== undefined) return { scenario, argument: name };
    throw new QuiesceError(
      "input",
      `${tracePath} was recorded from the scenario "${name}", which this version of quiesce does not have.`,
    );
  }
  const beside = join(dirname(tracePath), file);
  const place = existsSync(file) || isAbsolute(file) ? file : beside;
  if (!existsSync(place)) {
    throw new QuiesceError(
      "input",
      `${tracePath} was recorded from ${file}, which is needed to replay it and is not there.`,
    );
  }
  return foundFile(place, file);
}

async function foundFile(path: string, argument: string): Promise<FoundScenario> {
  return { ...(await loadScenarioFile(path)), argument, file: argument };
}

function isFile(argument: string): boolean {
  return /[\\/]/.test(argument) || /\.[cm]?[jt]s$/.test(argument);
}

function suggestion(argument: string): string {
  const near = BUILT_IN.map(({ name }) => ({ name, distance: editDistance(argument, name) }))
    .filter(({ name, distance }) => distance <= Math.max(2, name.length / 3))
    .sort((a, b) => a.distance - b.distance);
  const [best] = near;
  return best === undefined
    ? `\`${programName()} scenarios\` lists them.`
    : `Did you mean ${best.name}?`;
}

/** How many letters must be put in, taken out or changed to make `a` into `b`. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, change));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
