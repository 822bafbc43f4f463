// Registers the cases of a family with vitest: one test a case, titled with QEMU's name for it.
//
// `npm test` runs each under its own schedule and SCHEDULES random ones; `npm run long -- qemu-tests` has the full form.

import { describe, expect, it } from "vitest";
import type { QemuFamily } from "./case.ts";
import { runCase } from "./run-case.ts";

/** Random schedules for each case in `npm test`. */
const SCHEDULES = 100;
/** The longest case is 2.7 million events in a hundred runs; it took 15 s where four programs shared two cores. */
const TIMEOUT_MS = 300_000;

/** One test for each case of `family`; see the file comment. */
export function qemuCases(family: QemuFamily): void {
  describe(family.qemuFile, () => {
    for (const qemuCase of family.cases) {
      if (qemuCase.notApplicable !== undefined) continue;
      it(qemuCase.name, { timeout: TIMEOUT_MS }, () => {
        expect(runCase(qemuCase, { schedules: SCHEDULES }).problems).toEqual([]);
      });
    }
  });
}
