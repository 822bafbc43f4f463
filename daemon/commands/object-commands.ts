// object-add and object-del: iothreads and throttle groups.

import { blkAll } from "#core/backend";
import { EBUSY, EEXIST, EINVAL } from "#core/base";
import { BlockError, bdrvAllStates } from "#core/graph";
import { type AioContext, iothreadCreate, iothreadStopJoin, type Polls } from "#core/sched";
import { type ThrottleLimits, throttleGroupDel, throttleGroupNew } from "#core/throttle";
import { command, type QmpCommand } from "../qmp/dispatch.ts";
import type { Sendable } from "../qmp/json-value.ts";
import {
  enumOf,
  int,
  optional,
  type QapiType,
  str,
  struct,
  type TypeOf,
  union,
} from "../qmp/schema.ts";
import type { Daemon } from "../state.ts";

const RATES = [
  "iops-total",
  "iops-read",
  "iops-write",
  "bps-total",
  "bps-read",
  "bps-write",
] as const;
const LIMIT_NAMES = [
  ...RATES,
  ...RATES.map((rate) => `${rate}-max` as const),
  ...RATES.map((rate) => `${rate}-max-length` as const),
  "iops-size",
] as const;

/** QAPI: ThrottleLimits. */
const throttleLimits = struct(
  Object.fromEntries(LIMIT_NAMES.map((name) => [name, optional(int(0))])) as {
    readonly [N in (typeof LIMIT_NAMES)[number]]: QapiType<number | undefined>;
  },
);

/** QAPI: ObjectOptions. */
export const objectOptions = union(
  { "qom-type": enumOf("iothread", "throttle-group"), id: str },
  "qom-type",
  {
    iothread: {},
    "throttle-group": { limits: optional(throttleLimits) },
  },
);

/** user_creatable_add_qapi. Polls. */
export function* addObject(daemon: Daemon, options: TypeOf<typeof objectOptions>): Polls<void> {
  const { id } = options;
  if (!/^[A-Za-z][A-Za-z0-9._-]*$/.test(id))
    throw new BlockError(EINVAL, "Parameter 'id' expects an identifier");
  if (daemon.objects.has(id)) {
    const why = `attempt to add duplicate property '${id}' to object (type 'container')`;
    throw new BlockError(EEXIST, why);
  }
  if (options["qom-type"] === "iothread") {
    daemon.objects.set(id, { type: "iothread", id, ctx: iothreadCreate(id) });
    return;
  }
  throttleGroupNew(id, (options.limits ?? {}) as ThrottleLimits);
  daemon.objects.set(id, { type: "throttle-group", id, ctx: null });
}

const objectAdd = command(
  "object-add",
  objectOptions,
  function* (daemon: Daemon, options): Polls<Sendable> {
    yield* addObject(daemon, options);
    return undefined;
  },
);

const objectDel = command(
  "object-del",
  struct({ id: str }),
  function* (daemon: Daemon, { id }): Polls<Sendable> {
    const object = daemon.objects.get(id);
    if (object === undefined) throw new BlockError(EINVAL, `object '${id}' not found`);
    if (object.ctx !== null) {
      if (isUsed(object.ctx))
        throw new BlockError(EBUSY, `object '${id}' is in use, can not be deleted`);
      daemon.objects.delete(id);
      yield* iothreadStopJoin(object.ctx);
      return undefined;
    }
    throttleGroupDel(id);
    daemon.objects.delete(id);
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
