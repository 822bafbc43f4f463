export * from "./assert.ts";
export * from "./brand.ts";
export * from "./errno.ts";
export { printable } from "./printable.ts";
export { Prng } from "./prng.ts";
