// What the check of every step costs: whole runs with it and without, in turn; bench/checks.md.

import { NullProbe } from "#core/probe";
import { runScenario, SCENARIOS, type Scenario } from "#explorer";
import { median } from "./recording/measure.ts";
import { printFigures } from "./support/print-figures.ts";

const ROUNDS = 9;
const SEED = 5;
const STORM_OPERATIONS = "200";

function main(): void {
  const figures: Record<string, number> = {};
  for (const [name, params] of [
    ["demo", {}],
    ["storm", { operations: STORM_OPERATIONS }],
  ] as const) {
    const { off, on, steps } = measure(scenarioNamed(name), params);
    figures[`${name}: steps`] = steps;
    figures[`${name}: us a step, not checked`] = off / steps / 1e3;
    figures[`${name}: us a step, checked`] = on / steps / 1e3;
    figures[`${name}: time of a run, checked / not checked`] = on / off;
  }
  printFigures("checks", figures);
}

function scenarioNamed(name: string): Scenario {
  const scenario = SCENARIOS.find((one) => one.name === name);
  if (scenario === undefined) throw new Error(`${name} is built in`);
  return scenario;
}

/** Medians, in nanoseconds, of runs in turn; and how many steps such a run has. */
function measure(scenario: Scenario, params: Readonly<Record<string, string>>) {
  const off: number[] = [];
  const on: number[] = [];
  let steps = 0;
  for (let round = 0; round < ROUNDS; round++) {
    for (const checkInvariants of [false, true]) {
      const from = process.hrtime.bigint();
      const run = runScenario(scenario, {
        seed: SEED,
        params,
        checkInvariants,
        probe: new NullProbe(),
      });
      (checkInvariants ? on : off).push(Number(process.hrtime.bigint() - from));
      if (run.outcome !== "ok") throw new Error(`the run ended with "${run.outcome}"`);
      steps = run.machine.steps;
    }
  }
  return { off: median(off), on: median(on), steps };
}

main();
