export type { DeclaredFinding, QemuCase, QemuFamily } from "./case.ts";
export { CaseFailure, CaseTest } from "./case-test.ts";
export { QEMU_NAMES } from "./qemu-names.ts";
export { type CaseOptions, type CaseResult, recordCase, runCase, scenarioOf } from "./run-case.ts";
