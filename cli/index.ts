export { daemonScenario } from "./daemon-scenario.ts";
export { main } from "./main.ts";
export { programName } from "./program-name.ts";
export { stacksAt } from "./stacks.ts";
export type { Terminal, TextStream } from "./terminal.ts";
