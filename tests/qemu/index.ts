export { FAMILIES } from "./families.ts";
export * from "./support/index.ts";
