export { main } from "./main.ts";
export type { Terminal, TextStream } from "./terminal.ts";
