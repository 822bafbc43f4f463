export { main } from "./main.ts";
export { stacksAt } from "./stacks.ts";
export type { Terminal, TextStream } from "./terminal.ts";
