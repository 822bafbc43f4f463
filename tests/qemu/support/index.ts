export type { DeclaredFinding, QemuCase, QemuFamily } from "./case.ts";
export { CaseFailure, CaseTest } from "./case-test.ts";
