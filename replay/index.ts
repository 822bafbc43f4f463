export { EventCursor } from "./event-cursor.ts";
export type { RecordedTrace } from "./recorded-trace.ts";
export {
  type Divergence,
  type ReplayOptions,
  type ReplayReport,
  replayTrace,
  type WorldBuilder,
} from "./replay-trace.ts";
