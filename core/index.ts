export * from "./sched/index.ts";
