// object-add and object-del: iothreads, throttle groups, and what security-objects.ts has.

import { blkAll } from "#core/backend";
import { EBUSY, EEXIST, EINVAL } from "#core/base";
import { BlockError, bdrvAllStates } from "#core/graph";
import {
  type AioContext,
  hostClose,
  iothreadCreate,
  iothreadStopJoin,
  type Polls,
} from "#core/sched";
import { type ThrottleLimits, throttleGroupDel, throttleGroupNew } from "#core/throttle";
import { command, type QmpCommand } from "../qmp/dispatch.ts";
import type { Sendable } from "../qmp/json-value.ts";
import {
  enumOf,
  int64,
  optional,
  type QapiType,
  str,
  struct,
  type TypeOf,
  union,
} from "../qmp/schema.ts";
import type { SecretVault } from "../qmp/secret-seal.ts";
import type { Daemon } from "../state.ts";
import { credsUnref } from "./credentials.ts";
import { iothreadMembers, newIothreadParams } from "./iothread-params.ts";
import { SECURITY_TYPES, securityObject, securityObjects } from "./security-objects.ts";

const RATES = [
  "iops-total",
  "iops-read",
  "iops-write",
  "bps-total",
  "bps-read",
  "bps-write",
] as const;
export const LIMIT_NAMES = [
  ...RATES,
  ...RATES.map((rate) => `${rate}-max` as const),
  ...RATES.map((rate) => `${rate}-max-length` as const),
  "iops-size",
] as const;

/** C: UINT_MAX. */
const UINT_MAX = 2 ** 32 - 1;

/** QAPI: ThrottleLimits. */
export const throttleLimits = struct(
  Object.fromEntries(LIMIT_NAMES.map((name) => [name, optional(int64)])) as {
    readonly [N in (typeof LIMIT_NAMES)[number]]: QapiType<number | undefined>;
  },
);

/** The same one by one, which only a new group takes (QAPI: ThrottleGroupProperties). */
const PROPERTY_NAMES = LIMIT_NAMES.map((name) => `x-${name}` as const);
const throttleGroupProperties = {
  limits: optional(throttleLimits),
  ...(Object.fromEntries(PROPERTY_NAMES.map((name) => [name, optional(int64)])) as {
    readonly [N in (typeof PROPERTY_NAMES)[number]]: QapiType<number | undefined>;
  }),
};

/** QAPI: ObjectOptions. */
export const objectOptions = union(
  { "qom-type": enumOf("iothread", "throttle-group", ...SECURITY_TYPES), id: str },
  "qom-type",
  {
    iothread: iothreadMembers,
    "throttle-group": throttleGroupProperties,
    ...securityObjects,
  },
);

/** C: id_wellformed, and what is said of it on a command line. */
export const IDENTIFIER = /^[A-Za-z][A-Za-z0-9._-]*$/;
export const IDENTIFIER_HINT =
  "Identifiers consist of letters, digits, '-', '.', '_', starting with a letter.";

/** user_creatable_add_qapi. `vault` has the texts of secrets, when they are sealed. Polls. */
export function* addObject(
  daemon: Daemon,
  options: TypeOf<typeof objectOptions>,
  vault: SecretVault | null,
): Polls<void> {
  const { id } = options;
  if (!IDENTIFIER.test(id))
    throw new BlockError(EINVAL, "Parameter 'id' expects an identifier", IDENTIFIER_HINT);
  if (daemon.objects.has(id)) {
    const why = `attempt to add duplicate property '${id}' to object (type 'container')`;
    throw new BlockError(EEXIST, why);
  }
  if (options["qom-type"] === "iothread") {
    const params = newIothreadParams(options);
    daemon.objects.set(id, { type: "iothread", id, ctx: iothreadCreate(id), params });
    daemon.pollAsAsked();
    return;
  }
  if (options["qom-type"] === "throttle-group") {
    throttleGroupNew(id, limitsOf(options));
    daemon.objects.set(id, { type: "throttle-group", id });
    return;
  }
  daemon.objects.set(id, securityObject(daemon, options, vault));
}

/** throttle_group_set (block/throttle-groups.c:858), once for each property; `limits` win where both say something. */
function limitsOf(
  options: Extract<TypeOf<typeof objectOptions>, { "qom-type": "throttle-group" }>,
): ThrottleLimits {
  const limits: Record<string, number> = {};
  for (const name of LIMIT_NAMES) {
    const value = options[`x-${name}`];
    if (value === undefined) continue;
    if (value < 0) throw new BlockError(EINVAL, "Property values cannot be negative");
    if (name.endsWith("-length") && value > UINT_MAX) {
      const range = `must be in therange [0, ${UINT_MAX}]`;
      throw new BlockError(EINVAL, `x-${name} value ${range}`);
    }
    limits[name] = value;
  }
  return { ...limits, ...options.limits };
}

const objectAdd = command(
  "object-add",
  objectOptions,
  function* (daemon: Daemon, options): Polls<Sendable> {
    yield* addObject(daemon, options, daemon.vault);
    return undefined;
  },
);

const objectDel = command(
  "object-del",
  struct({ id: str }),
  function* (daemon: Daemon, { id }): Polls<Sendable> {
    const object = daemon.objects.get(id);
    if (object === undefined) throw new BlockError(EINVAL, `object '${id}' not found`);
    if (object.type === "iothread") {
      if (isUsed(object.ctx))
        throw new BlockError(EBUSY, `object '${id}' is in use, can not be deleted`);
      daemon.objects.delete(id);
      daemon.pollAsAsked();
      yield* iothreadStopJoin(object.ctx);
      return undefined;
    }
    if (object.type === "throttle-group") throttleGroupDel(id);
    daemon.objects.delete(id);
    if ("isServer" in object) credsUnref(object);
    else if ("handle" in object) hostClose(object.handle);
    return undefined;
  },
);

/** Whether a node or BlockBackend has its home there. */
function isUsed(ctx: AioContext): boolean {
  return (
    bdrvAllStates().some((bs) => bs.aioContext === ctx) || blkAll().some((blk) => blk.ctx === ctx)
  );
}

export const objectCommands: readonly QmpCommand<Daemon>[] = [objectAdd, objectDel];
