// The command transaction, with every kind of action whose command there is.

import { EINVAL } from "#core/base";
import { BlockError } from "#core/graph";
import type { Polls } from "#core/sched";
import { command, type QmpCommand } from "../qmp/dispatch.ts";
import type { Sendable } from "../qmp/json-value.ts";
import {
  enumOf,
  list,
  type Members,
  optional,
  type QapiType,
  struct,
  union,
} from "../qmp/schema.ts";
import type { Daemon } from "../state.ts";
import { type Action, type ActionKind, actionKind, qmpTransaction } from "../transaction.ts";

/** For tests of those who write transactions: it fails, and so does all that stands beside it. */
const abort = actionKind(
  "abort",
  struct({}),
  function* (): Polls<void> {
    throw new BlockError(EINVAL, "Transaction aborted using Abort action");
  },
  false,
);

/** QAPI: TransactionAction, of these kinds. */
function actionType(kinds: readonly ActionKind[]): QapiType<Action> {
  const branches = Object.fromEntries(
    kinds.map(({ name, data }): [string, Members] => [name, { data }]),
  );
  const read = union({ type: enumOf(...kinds.map(({ name }) => name)) }, "type", branches);
  return {
    ...read,
    read(value, name, input) {
      const { type, data } = read.read(value, name, input) as { type: string; data: unknown };
      const kind = kinds.find((one) => one.name === type);
      if (kind === undefined) throw new BlockError(EINVAL, `There is no action '${type}'`);
      return { kind, data };
    },
  };
}

/** The command, for `kinds` and `abort`. */
export function transactionCommands(kinds: readonly ActionKind[]): readonly QmpCommand<Daemon>[] {
  const transaction = command(
    "transaction",
    struct({
      actions: list(actionType([abort, ...kinds])),
      properties: optional(
        struct({ "completion-mode": optional(enumOf("individual", "grouped")) }),
      ),
    }),
    function* (daemon: Daemon, { actions, properties }): Polls<Sendable> {
      yield* qmpTransaction(daemon, actions, properties?.["completion-mode"]);
      return undefined;
    },
  );
  return [transaction];
}
