// From a JSON value that a client sent to the command that it names, and from what that returns to the answer.
//
// A command is a name, the type of its arguments and a function at thread level: it may poll, and what it throws becomes an
// error of QMP. A BlockError is a GenericError with its words; anything else is a bug of ours, and is not caught.

import { BlockError } from "#core/graph";
import type { Polls } from "#core/sched";
import { isJsonObject, type JsonObject, type JsonValue, type Sendable } from "./json-value.ts";
import { type QapiType, QmpError, struct } from "./schema.ts";

/** A command: reads its arguments and does it; what it returns is sent. `S` is what commands act on. */
export interface QmpCommand<S> {
  readonly name: string;
  /** Can overtake commands that wait, once the client has asked for that capability. */
  readonly allowOob?: boolean;
  /** What it takes, and what it returns: an empty object unless it says so. */
  readonly args: QapiType<unknown>;
  readonly returns: QapiType<unknown>;
  readonly executeCommand: (state: S, args: JsonObject) => Polls<Sendable>;
}

/** The arguments of a command that has none, and what most commands return. */
export const nothing = struct({});

/** A command with typed arguments; `returns` is the type of what `body` returns. */
export function command<S, A>(
  name: string,
  args: QapiType<A>,
  body: (state: S, args: A) => Polls<Sendable>,
  returns: QapiType<unknown> = nothing,
): QmpCommand<S> {
  return {
    name,
    args,
    returns,
    executeCommand: (state, given) => body(state, args.read(given, "", "json")),
  };
}

/** The commands that there are, by name. */
export type QmpCommands<S> = ReadonlyMap<string, QmpCommand<S>>;

export function commandTable<S>(...groups: readonly (readonly QmpCommand<S>[])[]): QmpCommands<S> {
  return new Map(groups.flat().map((one) => [one.name, one]));
}

/** A request that was understood: a command of the table, and with what. */
export interface QmpRequest<S> {
  readonly command: QmpCommand<S>;
  readonly args: JsonObject;
  readonly oob: boolean;
}

const NO_ARGUMENTS: JsonObject = new Map();

/** qmp_dispatch's first half (qapi/qmp-dispatch.c:140): what the client asks for; throws a QmpError. */
export function parseRequest<S>(
  value: JsonValue,
  commands: QmpCommands<S>,
  oobEnabled: boolean,
): QmpRequest<S> {
  if (!isJsonObject(value)) throw new QmpError("QMP input must be a JSON object");
  const key = checkMembers(value, oobEnabled);
  const name = value.get(key) as string;
  const found = commands.get(name);
  if (found === undefined)
    throw new QmpError(`The command ${name} has not been found`, "CommandNotFound");
  const oob = key === "exec-oob";
  if (oob && found.allowOob !== true)
    throw new QmpError(`The command ${name} does not support OOB`);
  return { command: found, args: (value.get("arguments") as JsonObject) ?? NO_ARGUMENTS, oob };
}

/** qmp_dispatch_check_obj: which of the two members names the command. */
function checkMembers(request: JsonObject, oobEnabled: boolean): "execute" | "exec-oob" {
  let key: "execute" | "exec-oob" | null = null;
  for (const [member, value] of inQemuOrder(request)) {
    if (member === "execute" || (member === "exec-oob" && oobEnabled)) {
      if (typeof value !== "string")
        throw new QmpError(`QMP input member '${member}' must be a string`);
      if (key !== null) throw new QmpError(`QMP input member '${member}' clashes with '${key}'`);
      key = member;
    } else if (member === "arguments") {
      if (!isJsonObject(value))
        throw new QmpError("QMP input member 'arguments' must be an object");
    } else if (member !== "id") {
      throw new QmpError(`QMP input member '${member}' is unexpected`);
    }
  }
  if (key === null) throw new QmpError("QMP input lacks member 'execute'");
  return key;
}

/** Which of the two members QEMU meets first depends on the hash of their names: always the same one. */
function inQemuOrder(request: JsonObject): Iterable<readonly [string, JsonValue]> {
  const oob = request.get("exec-oob");
  if (oob === undefined || !request.has("execute")) return request;
  return [["exec-oob", oob], ...[...request].filter(([member]) => member !== "exec-oob")];
}

/** Run a request; the answer, with the client's `id`. Polls. */
export function* runRequest<S>(
  state: S,
  { command: found, args }: QmpRequest<S>,
  id: JsonValue | undefined,
): Polls<Sendable> {
  try {
    const value = yield* found.executeCommand(state, args);
    return { return: value === undefined ? {} : value, id };
  } catch (error) {
    return errorAnswer(error, id);
  }
}

/** qmp_error_response: what a client is told; throws what is no refusal but a bug. */
export function errorAnswer(error: unknown, id: JsonValue | undefined): Sendable {
  if (error instanceof BlockError)
    return { error: { class: "GenericError", desc: error.message }, id };
  if (error instanceof QmpError)
    return { error: { class: error.errorClass, desc: error.message }, id };
  throw error;
}

/** The `id` that an answer to `value` carries. */
export function idOf(value: JsonValue): JsonValue | undefined {
  return isJsonObject(value) ? value.get("id") : undefined;
}
