// QEMU's unit tests, case by case, under more schedules than `npm test` has time for.

import { FAMILIES, runCase } from "#tests/qemu";

export const title = "QEMU's unit tests: every case x 1,000 random schedules (about 10 min).";

const SCHEDULES = 1000;

/** Arguments: the number of schedules, and a word that the names of the cases contain. */
export async function run(
  say: (line: string) => void,
  args: readonly string[],
): Promise<{ passed: boolean; [figure: string]: unknown }> {
  const schedules = Number(args[0] ?? SCHEDULES);
  const word = args[1] ?? "";
  const problems: string[] = [];
  const total = { cases: 0, notApplicable: 0, runs: 0, distinct: 0 };
  for (const { cases } of FAMILIES) {
    for (const qemuCase of cases.filter(({ name }) => name.includes(word))) {
      if (qemuCase.body === undefined) {
        total.notApplicable++;
        continue;
      }
      const result = runCase(qemuCase, { schedules });
      total.cases++;
      total.runs += schedules;
      total.distinct += result.distinct;
      problems.push(...result.problems);
      say(`${qemuCase.name}: ${result.distinct} distinct runs, ${result.problems.length} problems`);
    }
  }
  return { passed: problems.length === 0, schedules, ...total, problems: problems.slice(0, 20) };
}
