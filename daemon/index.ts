export { commands } from "./commands/table.ts";
export { EVENTS } from "./event-types.ts";
export { LiveHost } from "./host/live-host.ts";
export { runLive } from "./host/run-live.ts";
export { parseKeyval } from "./keyval.ts";
export { type DaemonParts, daemonMain } from "./main.ts";
export { JsonStream, parseJson } from "./qmp/json-stream.ts";
export { isJsonObject, type JsonValue, jsonText } from "./qmp/json-value.ts";
export { type DaemonHooks, type DaemonOption, type Polling, veiledOption } from "./state.ts";
