// Events of QMP: every monitor that has negotiated gets them.

import type { Sendable } from "./qmp/json-value.ts";
import { monitorEvent } from "./qmp/monitor.ts";
import type { Daemon } from "./state.ts";

/** qapi_event_emit: tell all monitors. */
export function emitEvent(daemon: Daemon, event: string, data: Sendable): void {
  for (const monitor of daemon.monitors) monitorEvent(monitor, event, data);
}
