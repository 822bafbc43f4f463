// What every QMP server has: its version, its commands, and its end.

import type { Polls } from "#core/sched";
import { command, type QmpCommand } from "../qmp/dispatch.ts";
import type { Sendable } from "../qmp/json-value.ts";
import { any, optional, QmpError, struct } from "../qmp/schema.ts";
import type { Daemon } from "../state.ts";

/** The QEMU whose commands these are: clients look for it. */
export const VERSION: Sendable = { qemu: { major: 7, minor: 2, micro: 0 }, package: "quiesce" };

const queryVersion = command("query-version", struct({}), function* (): Polls<Sendable> {
  return VERSION;
});

const quit = command("quit", struct({}), function* (daemon: Daemon): Polls<Sendable> {
  daemon.quitReason ??= "host-qmp-quit";
  return undefined;
});

const capabilitiesAgain = command(
  "qmp_capabilities",
  struct({ enable: optional(any) }),
  function* (): Polls<Sendable> {
    const why = "Capabilities negotiation is already complete, command ignored";
    throw new QmpError(why, "CommandNotFound");
  },
);

/** `names`: of all commands that there are, these among them. */
export function miscCommands(names: () => readonly string[]): readonly QmpCommand<Daemon>[] {
  const queryCommands = command("query-commands", struct({}), function* (): Polls<Sendable> {
    return names().map((name) => ({ name }));
  });
  return [queryVersion, quit, capabilitiesAgain, queryCommands];
}
