// What tests of other folders use of the analyzer's test support.

export { ORACLE_RULES } from "./oracle-rules/index.ts";
export { complaintsBy, publishedSchema } from "./test-support/closed-schema.ts";
export { type CompareOptions, compareWithOracle } from "./test-support/compare.ts";
export { compareProtocol, compareRules } from "./test-support/compare-rules.ts";
export { answerTo, mutatedRun, WITHOUT_END, withoutEnd } from "./test-support/hostile.ts";
export { traceFromText } from "./test-support/trace-from-text.ts";
