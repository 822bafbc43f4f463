export { recordingsIn, type Soundness, soundnessOfDaemon } from "./soundness.ts";
