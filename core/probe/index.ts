export * from "./catalogue.ts";
export * from "./event-batch.ts";
export * from "./field-types.ts";
export * from "./probe.ts";
export * from "./sites.ts";
