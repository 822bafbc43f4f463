// What every QMP server has: its version, its commands, and its end.

import type { Polls } from "#core/sched";
import { EVENTS } from "../event-types.ts";
import { command, nothing, type QmpCommand } from "../qmp/dispatch.ts";
import { qmpSchema, schemaInfo } from "../qmp/introspection.ts";
import type { Sendable } from "../qmp/json-value.ts";
import { capability } from "../qmp/monitor.ts";
import { list, optional, QmpError, struct } from "../qmp/schema.ts";
import type { Daemon } from "../state.ts";
import { commandInfo, versionInfo } from "./result-types.ts";

/** The QEMU whose commands these are: clients look for it. */
export const VERSION: Sendable = { qemu: { major: 7, minor: 2, micro: 0 }, package: "quiesce" };

const queryVersion = command(
  "query-version",
  nothing,
  function* (): Polls<Sendable> {
    return VERSION;
  },
  versionInfo,
);

const quit = command("quit", nothing, function* (daemon: Daemon): Polls<Sendable> {
  daemon.quitReason ??= "host-qmp-quit";
  return undefined;
});

const capabilitiesAgain = command(
  "qmp_capabilities",
  struct({ enable: optional(list(capability)) }),
  function* (): Polls<Sendable> {
    const why = "Capabilities negotiation is already complete, command ignored";
    throw new QmpError(why, "CommandNotFound");
  },
);

/** `all`: the commands that there are, these among them. */
export function miscCommands(
  all: () => readonly QmpCommand<Daemon>[],
): readonly QmpCommand<Daemon>[] {
  const queryCommands = command(
    "query-commands",
    nothing,
    function* (): Polls<Sendable> {
      return all().map(({ name }) => ({ name }));
    },
    list(commandInfo),
  );
  const querySchema = command(
    "query-qmp-schema",
    nothing,
    function* (): Polls<Sendable> {
      return qmpSchema(all(), EVENTS);
    },
    list(schemaInfo),
  );
  return [queryVersion, quit, capabilitiesAgain, queryCommands, querySchema];
}
