// The run that benchmarks and long forms let the analyzer judge.

export * from "./workload.ts";
