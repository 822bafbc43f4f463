// The tree of objects, as far as clients need it to change the limits of a throttle group or how an iothread polls: qom-list, qom-get,
// qom-set.
//
//     /  --  objects    what object-add made, by id
//        --  chardevs   what --chardev made
//
// A throttle group has its limits, all together and one by one. Differs from QEMU: of other objects than these two nothing but the type is told. What
// a secret is, the daemon itself does not know.

import { EINVAL } from "#core/base";
import { BlockError } from "#core/graph";
import type { Polls } from "#core/sched";
import {
  type ThrottleGroup,
  type ThrottleLimits,
  throttleGroupByName,
  throttleGroupGetLimits,
  throttleGroupSetLimits,
} from "#core/throttle";
import { command, type QmpCommand } from "../qmp/dispatch.ts";
import type { JsonValue, Sendable } from "../qmp/json-value.ts";
import { any, int64, list, QmpError, str, struct } from "../qmp/schema.ts";
import type { Daemon } from "../state.ts";
import { IOTHREAD_PARAMS, type IothreadParams, setIothreadParam } from "./iothread-params.ts";
import { LIMIT_NAMES, throttleLimits } from "./object-commands.ts";
import { objectPropertyInfo } from "./result-types.ts";

/** C: Object. */
interface QomObject {
  readonly path: string;
  readonly type: string;
  readonly properties: ReadonlyMap<string, QomProperty>;
  readonly children: ReadonlyMap<string, QomObject>;
}

/** C: ObjectProperty. */
interface QomProperty {
  readonly type: string;
  readonly get: () => Sendable;
  /** Missing: it is not writable. */
  readonly set?: (value: JsonValue) => void;
}

function qomObject(
  path: string,
  type: string,
  children: readonly (readonly [string, QomObject])[] = [],
  properties: readonly (readonly [string, QomProperty])[] = [],
): QomObject {
  const below = children.map(
    ([name, child]) => [name, { type: `child<${child.type}>`, get: () => child.path }] as const,
  );
  const own: readonly (readonly [string, QomProperty])[] = [
    ["type", { type: "string", get: () => type }],
  ];
  return {
    path,
    type,
    properties: new Map([...own, ...properties, ...below]),
    children: new Map(children),
  };
}

/** object_get_root. */
function rootOf(daemon: Daemon): QomObject {
  const objects = [...daemon.objects.values()].map(({ id, type }) => {
    return [id, qomObject(`/objects/${id}`, type, [], propertiesOf(daemon, id))] as const;
  });
  const chardevs = [...daemon.chardevs.values()].map(({ id, address }) => {
    const type = address.type === "stdio" ? "chardev-stdio" : "chardev-socket";
    return [id, qomObject(`/chardevs/${id}`, type)] as const;
  });
  return qomObject("/", "container", [
    ["objects", qomObject("/objects", "container", objects)],
    ["chardevs", qomObject("/chardevs", "container", chardevs)],
  ]);
}

function propertiesOf(daemon: Daemon, id: string): (readonly [string, QomProperty])[] {
  const object = daemon.objects.get(id);
  if (object?.type === "iothread") return paramsOf(daemon, object.params);
  const group = object?.type === "throttle-group" ? throttleGroupByName(id) : null;
  return group === null ? [] : limitsOf(group);
}

/** event_loop_base_class_init (event-loop-base.c:90) and iothread_class_init (iothread.c:270). */
function paramsOf(daemon: Daemon, params: IothreadParams): (readonly [string, QomProperty])[] {
  return IOTHREAD_PARAMS.map((name) => [
    name,
    {
      type: "int",
      get: () => params[name],
      set: (value) => {
        setIothreadParam(params, name, int64.read(value, name, "json"));
        daemon.pollAsAsked();
      },
    },
  ]);
}

/** throttle_group_obj_class_init (block/throttle-groups.c:1000). */
function limitsOf(group: ThrottleGroup): (readonly [string, QomProperty])[] {
  const limits: QomProperty = {
    type: "ThrottleLimits",
    get: () => throttleGroupGetLimits(group),
    set: (value) =>
      throttleGroupSetLimits(group, throttleLimits.read(value, "limits", "json") as ThrottleLimits),
  };
  const each = LIMIT_NAMES.map((name): readonly [string, QomProperty] => [
    `x-${name}`,
    {
      type: "int",
      get: () => throttleGroupGetLimits(group)[name],
      set: () => {
        // One by one they could pass through what makes no sense.
        throw new BlockError(EINVAL, "Property cannot be set after initialization");
      },
    },
  ]);
  return [["limits", limits], ...each];
}

/** object_resolve_path (qom/object.c:2100): from the root, or, without a slash before it, the end of a path. */
function resolve(daemon: Daemon, path: string): QomObject {
  const root = rootOf(daemon);
  const parts = path.split("/").filter((part) => part !== "");
  const starts = path.startsWith("/") ? [root] : all(root);
  const found = starts.flatMap((start) => descend(start, parts) ?? []);
  if (found.length > 1)
    throw new BlockError(EINVAL, `Path '${path}' does not uniquely identify an object`);
  const [object] = found;
  if (object === undefined) throw new QmpError(`Device '${path}' not found`, "DeviceNotFound");
  return object;
}

function all(object: QomObject): QomObject[] {
  return [object, ...[...object.children.values()].flatMap(all)];
}

function descend(from: QomObject, parts: readonly string[]): QomObject | null {
  let at: QomObject | undefined = from;
  for (const part of parts) at = at?.children.get(part);
  return at ?? null;
}

/** object_property_find_err. */
function propertyOf(
  daemon: Daemon,
  path: string,
  name: string,
): QomProperty & { readonly of: string } {
  const object = resolve(daemon, path);
  const found = object.properties.get(name);
  if (found !== undefined) return { ...found, of: object.type };
  throw new BlockError(EINVAL, `Property '${object.type}.${name}' not found`);
}

const qomList = command(
  "qom-list",
  struct({ path: str }),
  function* (daemon: Daemon, { path }): Polls<Sendable> {
    const { properties } = resolve(daemon, path);
    return [...properties].map(([name, { type }]) => ({ name, type }));
  },
  list(objectPropertyInfo),
);

const qomGet = command(
  "qom-get",
  struct({ path: str, property: str }),
  function* (daemon: Daemon, { path, property }): Polls<Sendable> {
    return propertyOf(daemon, path, property).get();
  },
  any,
);

const qomSet = command(
  "qom-set",
  struct({ path: str, property: str, value: any }),
  function* (daemon: Daemon, { path, property, value }): Polls<Sendable> {
    const { set, of } = propertyOf(daemon, path, property);
    if (set === undefined)
      throw new BlockError(EINVAL, `Property '${of}.${property}' is not writable`);
    set(value);
    return undefined;
  },
);

export const qomCommands: readonly QmpCommand<Daemon>[] = [qomList, qomGet, qomSet];
