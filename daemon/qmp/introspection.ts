// query-qmp-schema: commands, events and their types, as clients that look before they ask want them (QAPI: SchemaInfo).
//
// Types have numbers for names, in the order in which they are met: what a type is called is nobody's business (QEMU does so too).
// An array's name is its element's in brackets.

import type { QmpCommand } from "./dispatch.ts";
import type { Sendable } from "./json-value.ts";
import {
  any,
  type BuiltinName,
  bool,
  enumOf,
  list,
  optional,
  type QapiType,
  type SchemaPool,
  str,
  struct,
  union,
} from "./schema.ts";

type Entry = Readonly<Record<string, Sendable>>;

/** QAPI's builtin types, with the JSON type that a schema names for each. */
const BUILTINS: Readonly<Record<BuiltinName, string>> = {
  str: "string",
  int: "int",
  number: "number",
  bool: "boolean",
  null: "null",
  any: "value",
};

/** Entries by name; each type once. */
class Introspection implements SchemaPool {
  readonly #entries = new Map<string, Entry>();
  readonly #names = new Map<object | string, string>();

  entries(): Sendable {
    return [...this.#entries].map(([name, entry]) => ({ name, ...entry }));
  }

  add(name: string, entry: Entry): void {
    this.#entries.set(name, entry);
  }

  nameOf(key: object, info: () => Entry): string {
    // Structs without members are all the same.
    const known = Object.keys(key).length === 0 ? "no members" : key;
    const name = this.#names.get(known);
    if (name !== undefined) return name;
    const fresh = String(this.#names.size);
    // First the name: a type may have itself among its members.
    this.#names.set(known, fresh);
    this.add(fresh, info());
    return fresh;
  }

  builtin(name: BuiltinName): string {
    this.add(name, { "meta-type": "builtin", "json-type": BUILTINS[name] });
    return name;
  }

  arrayOf(element: string): string {
    const name = `[${element}]`;
    this.add(name, { "meta-type": "array", "element-type": element });
    return name;
  }
}

/** The schema of these commands and events. */
export function qmpSchema<S>(
  commands: Iterable<QmpCommand<S>>,
  events: Readonly<Record<string, QapiType<unknown>>>,
): Sendable {
  const schema = new Introspection();
  for (const { name, args, returns, allowOob = false } of commands)
    schema.add(name, {
      "meta-type": "command",
      "arg-type": args.describe(schema),
      "ret-type": returns.describe(schema),
      ...(allowOob ? { "allow-oob": true } : {}),
      ...(name.startsWith("x-") ? { features: ["unstable"] } : {}),
    });
  for (const [name, args] of Object.entries(events))
    schema.add(name, { "meta-type": "event", "arg-type": args.describe(schema) });
  return schema.entries();
}

const features = optional(list(str));
const memberInfo = struct({ name: str, type: str, default: optional(any), features });

/** QAPI: SchemaInfo. */
export const schemaInfo = union(
  {
    name: str,
    "meta-type": enumOf("builtin", "enum", "array", "object", "alternate", "command", "event"),
    features,
  },
  "meta-type",
  {
    builtin: {
      "json-type": enumOf("string", "number", "int", "boolean", "null", "object", "array", "value"),
    },
    enum: { members: list(struct({ name: str, features })), values: list(str) },
    array: { "element-type": str },
    object: {
      members: list(memberInfo),
      tag: optional(str),
      variants: optional(list(struct({ case: str, type: str }))),
    },
    alternate: { members: list(struct({ type: str })) },
    command: { "arg-type": str, "ret-type": str, "allow-oob": optional(bool) },
    event: { "arg-type": str },
  },
);
