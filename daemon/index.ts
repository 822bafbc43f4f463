export { LiveHost } from "./host/live-host.ts";
export { runLive } from "./host/run-live.ts";
