// QAPI types as values: what a command's arguments must be, with the type that comes out for TypeScript.
//
// The words of the errors are QEMU's (qapi/qobject-input-visitor.c), which clients and tests compare. There are three ways to read
// the same type: `json`, where values have types; `keyval`, where all leaves are text, as on a command line ("on", "4k"); and `opts`, where
// they are text as well, but read as drivers read theirs (util/qemu-option.c), in names that have options: what the schema calls an int may
// be a size there ("1M"), and other words are said of wrong ones.
//
// Members are looked at in the order of the schema, and members that it does not have afterwards, as in QEMU: so the error that a
// client gets first is the same.

import { parseSize } from "../size-text.ts";
import {
  isJsonObject,
  JsonFloat,
  type JsonObject,
  type JsonValue,
  type Sendable,
} from "./json-value.ts";

/** Why a command was refused (C: Error with its ErrorClass). */
export class QmpError extends Error {
  override readonly name = "QmpError";
  readonly errorClass: QmpErrorClass;
  constructor(message: string, errorClass: QmpErrorClass = "GenericError") {
    super(message);
    this.errorClass = errorClass;
  }
}

/** QAPI: QapiErrorClass. */
export type QmpErrorClass =
  | "GenericError"
  | "CommandNotFound"
  | "DeviceNotActive"
  | "DeviceNotFound"
  | "KVMMissingCap";

/** How leaves are written. */
export type InputKind = "json" | "keyval" | "opts";

/** A QAPI type: reads a value named `name`, or throws a QmpError. `undefined` is a value that is not there. */
export interface QapiType<T> {
  /** Which JSON values can be one: what an alternate decides by. */
  readonly jsonTypes: readonly JsonTypeName[];
  /** A member of this type may be left out. */
  readonly isOptional?: boolean;
  /** Tell clients of it; the name that the schema has for it. */
  describe(pool: SchemaPool): string;
  read(value: JsonValue | undefined, name: string, kind: InputKind): T;
}

/** Where types are described: what `query-qmp-schema` answers. */
export interface SchemaPool {
  /** The name of what `info` says, which is asked once for each `key`. */
  nameOf(key: object, info: () => Readonly<Record<string, Sendable>>): string;
  builtin(name: BuiltinName): string;
  arrayOf(element: string): string;
}

/** Builtin types that a schema tells apart. */
export type BuiltinName = "str" | "int" | "number" | "bool" | "null" | "any";

/** The types of JSON that QAPI tells apart. */
export type JsonTypeName = "null" | "bool" | "number" | "string" | "array" | "object";

/** What comes out of a QapiType. */
export type TypeOf<Q> = Q extends QapiType<infer T> ? T : never;

function jsonTypeOf(value: JsonValue): JsonTypeName {
  if (value === null) return "null";
  if (typeof value === "boolean") return "bool";
  if (typeof value === "string") return "string";
  if (Array.isArray(value)) return "array";
  return isJsonObject(value) ? "object" : "number";
}

const JSON_TYPES = { str: "string", int: "number", bool: "bool", null: "null" } as const;

function leaf<T>(
  builtin: Exclude<BuiltinName, "number" | "any">,
  expected: string,
  fromJson: (value: JsonValue, name: string) => T | undefined,
  fromText: (text: string, name: string) => T,
  fromOpts = fromText,
): QapiType<T> {
  return {
    jsonTypes: [JSON_TYPES[builtin]],
    describe: (pool) => pool.builtin(builtin),
    read(value, name, kind) {
      if (value === undefined) throw new QmpError(`Parameter '${name}' is missing`);
      if (kind === "keyval") return fromText(textOf(value, name), name);
      if (kind === "opts") return fromOpts(textOf(value, name), name);
      const read = fromJson(value, name);
      if (read === undefined)
        throw new QmpError(`Invalid parameter type for '${name}', expected: ${expected}`);
      return read;
    },
  };
}

/** On a command line, a leaf is text. */
function textOf(value: JsonValue, name: string): string {
  if (typeof value === "string") return value;
  throw new QmpError(`Parameters '${name}.*' are unexpected`);
}

export const str: QapiType<string> = leaf(
  "str",
  "string",
  (value) => (typeof value === "string" ? value : undefined),
  (text) => text,
);

export const bool: QapiType<boolean> = leaf(
  "bool",
  "boolean",
  (value) => (typeof value === "boolean" ? value : undefined),
  (text, name) => {
    // C: qapi_bool_parse.
    const isOn = /^(on|yes|true|y)$/.test(text);
    if (!isOn && !/^(off|no|false|n)$/.test(text))
      throw new QmpError(`Parameter '${name}' expects 'on' or 'off'`);
    return isOn;
  },
);

/** An integer between two bounds; QEMU's types int, int32 and so on. Only integers that a number holds exactly are taken. */
export function int(
  least = Number.MIN_SAFE_INTEGER,
  most = Number.MAX_SAFE_INTEGER,
  typeName = "integer",
): QapiType<number> {
  return integer({ least, most, typeName }, (value) => value);
}

/** QEMU's types uint32 and so on: everything that is no number at all is "no uint64". */
function uint(most: number, typeName: string): QapiType<number> {
  return integer({ least: 0, most, typeName }, (value, name) => {
    if (value === undefined) throw new QmpError(`Parameter '${name}' expects uint64`);
    return value;
  });
}

interface IntegerRange {
  readonly least: number;
  readonly most: number;
  readonly typeName: string;
}

/** `judge` looks at what may be no integer. */
function integer(
  { least, most, typeName }: IntegerRange,
  judge: (value: number | undefined, name: string) => number | undefined,
): QapiType<number> {
  const refuse = (name: string) => {
    throw new QmpError(`Parameter '${ownName(name)}' expects ${typeName}`);
  };
  const inRange = (value: number, name: string) =>
    value < least || value > most ? refuse(name) : value;
  return leaf(
    "int",
    "integer",
    (value, name) => {
      if (typeof value === "bigint") return refuse(name);
      const number = judge(typeof value === "number" ? value : undefined, name);
      return number === undefined ? undefined : inRange(number, name);
    },
    (text, name) => {
      const value = integerOf(text);
      if (!Number.isSafeInteger(value)) throw new QmpError(`Parameter '${name}' expects integer`);
      return inRange(value, name);
    },
    parseOptionNumber,
  );
}

function integerOf(text: string): number {
  return /^[-+]?(0[xX][0-9a-fA-F]+|[0-9]+)$/.test(text) ? Number(text) : Number.NaN;
}

/** parse_option_number (util/qemu-option.c:113). */
function parseOptionNumber(text: string, name: string): number {
  const own = ownName(name);
  const value = integerOf(text);
  if (Number.isNaN(value) || value < 0) throw new QmpError(`Parameter '${own}' expects a number`);
  if (Number.isSafeInteger(value)) return value;
  throw new QmpError(`Value '${text}' is too large for parameter '${own}'`);
}

/** parse_option_size (util/qemu-option.c:134). */
function parseOptionSize(text: string, name: string): number {
  const own = ownName(name);
  const bytes = bytesOf(text);
  if (Number.isNaN(bytes))
    throw new QmpError(`Parameter '${own}' expects a non-negative number below 2^64`);
  if (Number.isSafeInteger(bytes)) return bytes;
  throw new QmpError(`Value '${text}' is out of range for parameter '${own}'`);
}

/** What QAPI calls an int, and the driver reads as a size where it is text of its own (`type` is how it is read otherwise). */
export function sizeIn(type: QapiType<number> = int()): QapiType<number> {
  return {
    ...type,
    read: (value, name, kind) =>
      kind === "opts" && typeof value === "string"
        ? parseOptionSize(value, name)
        : type.read(value, name, kind),
  };
}

/** QEMU's int: 64 bits; beyond 2^53 only what a number holds exactly. */
export const int64 = int();
export const uint64 = uint(Number.MAX_SAFE_INTEGER, "uint64");
export const uint32 = uint(2 ** 32 - 1, "uint32_t");
export const uint16 = uint(2 ** 16 - 1, "uint16_t");

/** A number of bytes; as text with a suffix, "4k" (C: qemu_strtosz). */
export const size: QapiType<number> = leaf(
  "int",
  "integer",
  (value, name) => {
    if (typeof value === "bigint" || (typeof value === "number" && value < 0))
      throw new QmpError(`Parameter '${name}' expects uint64`);
    return typeof value === "number" ? value : undefined;
  },
  (text, name) => {
    const bytes = bytesOf(text);
    if (!Number.isSafeInteger(bytes)) throw new QmpError(`Parameter '${name}' expects size`);
    return bytes;
  },
);

/** qemu_strtosz (util/cutils.c:318): NaN for what is no size, infinite for more than 64 bits. */
function bytesOf(text: string): number {
  const parsed = parseSize(text);
  if (typeof parsed !== "string") return Number(parsed.bytes);
  return parsed === "range" ? Number.POSITIVE_INFINITY : Number.NaN;
}

/** A QAPI enumeration. */
export function enumOf<const W extends readonly string[]>(...words: W): QapiType<W[number]> {
  return {
    jsonTypes: ["string"],
    describe: (pool) =>
      pool.nameOf(words, () => ({
        "meta-type": "enum",
        members: words.map((name) => ({ name })),
        values: words,
      })),
    read(value, name, kind) {
      const word = str.read(value, name, kind);
      if (!words.includes(word))
        throw new QmpError(`Parameter '${ownName(name)}' does not accept value '${word}'`);
      return word;
    },
  };
}

/** Errors about enumerations and alternates name a member without its path, and an element of a list not at all. */
function ownName(name: string): string {
  return name.endsWith("]") ? "null" : name.slice(name.lastIndexOf(".") + 1);
}

/** JSON's null, which a client says where something is to be nothing. */
export const jsonNull: QapiType<null> = leaf(
  "null",
  "null",
  (value) => (value === null ? null : undefined),
  (text, name) => {
    if (text !== "") throw new QmpError(`Invalid parameter type for '${name}', expected: null`);
    return null;
  },
);

/** Any JSON value, as it is. */
export const any: QapiType<JsonValue> = {
  jsonTypes: ["null", "bool", "number", "string", "array", "object"],
  describe: (pool) => pool.builtin("any"),
  read(value, name) {
    if (value === undefined) throw new QmpError(`Parameter '${name}' is missing`);
    return value;
  },
};

/** A member that may be left out. */
export function optional<T>(type: QapiType<T>): QapiType<T | undefined> {
  return {
    get jsonTypes() {
      return type.jsonTypes;
    },
    isOptional: true,
    describe: (pool) => type.describe(pool),
    read: (value, name, kind) => (value === undefined ? undefined : type.read(value, name, kind)),
  };
}

export function list<T>(element: QapiType<T>): QapiType<readonly T[]> {
  return {
    jsonTypes: ["array"],
    describe: (pool) => pool.arrayOf(element.describe(pool)),
    read(value, name, kind) {
      if (value === undefined) throw new QmpError(`Parameter '${name}' is missing`);
      if (!Array.isArray(value))
        throw new QmpError(`Invalid parameter type for '${name}', expected: array`);
      return value.map((one, index) => element.read(one, `${name}[${index}]`, kind));
    },
  };
}

/** The members of a struct. */
export type Members = { readonly [name: string]: QapiType<unknown> };

/** What comes out of a struct: members that may be left out are optional properties. */
export type StructOf<M extends Members> = {
  readonly [K in keyof M as undefined extends TypeOf<M[K]> ? never : K]: TypeOf<M[K]>;
} & {
  readonly [K in keyof M as undefined extends TypeOf<M[K]> ? K : never]?: Exclude<
    TypeOf<M[K]>,
    undefined
  >;
};

/** A QAPI struct: these members and no others. */
export function struct<M extends Members>(members: M): QapiType<StructOf<M>> {
  return {
    jsonTypes: ["object"],
    describe: (pool) => describeStruct(pool, members),
    read(value, name, kind) {
      const object = objectOf(value, name);
      const seen = new Set<string>();
      const read = readMembers(members, { object, name, kind, seen });
      refuseOthers(object, name, seen);
      return read as StructOf<M>;
    },
  };
}

/** A QAPI union: `base` has a member `tag`, whose value says which members there are besides. */
export function union<
  B extends Members,
  K extends keyof B & string,
  R extends { readonly [value: string]: Members },
>(base: B, tag: K, branches: R): QapiType<UnionOf<B, K, R>> {
  return {
    jsonTypes: ["object"],
    describe: (pool) =>
      pool.nameOf(branches, () => ({
        "meta-type": "object",
        members: membersInfo(pool, base),
        tag,
        variants: variantsInfo(pool, branches),
      })),
    read(value, name, kind) {
      const object = objectOf(value, name);
      const seen = new Set<string>();
      const source = { object, name, kind, seen };
      const common = readMembers(base, source);
      const branch = branches[String(common[tag])] ?? {};
      const read = { ...common, ...readMembers(branch, source) };
      refuseOthers(object, name, seen);
      return read as UnionOf<B, K, R>;
    },
  };
}

function describeStruct(pool: SchemaPool, members: Members): string {
  return pool.nameOf(members, () => ({
    "meta-type": "object",
    members: membersInfo(pool, members),
  }));
}

function membersInfo(pool: SchemaPool, members: Members): Sendable {
  return Object.entries(members).map(([name, type]) => ({
    name,
    type: type.describe(pool),
    ...(type.isOptional === true ? { default: null } : {}),
  }));
}

function variantsInfo(pool: SchemaPool, branches: { readonly [value: string]: Members }): Sendable {
  return Object.entries(branches).map(([value, members]) => ({
    case: value,
    type: describeStruct(pool, members),
  }));
}

/** What comes out of a union: one type for each value of the tag. */
export type UnionOf<B extends Members, K extends keyof B, R> = {
  [V in keyof R & string]: R[V] extends Members
    ? StructOf<Omit<B, K>> & { readonly [T in K]: V } & StructOf<R[V]>
    : never;
}[keyof R & string];

/** A QAPI alternate, called `typeName` in errors: the type of the JSON value decides. */
export function alternate<const T extends readonly QapiType<unknown>[]>(
  typeName: string,
  ...types: T
): QapiType<TypeOf<T[number]>> {
  return {
    get jsonTypes() {
      return types.flatMap((type) => type.jsonTypes);
    },
    describe: (pool) =>
      pool.nameOf(types, () => ({
        "meta-type": "alternate",
        members: types.map((type) => ({ type: type.describe(pool) })),
      })),
    read(value, name, kind) {
      if (value === undefined) throw new QmpError(`Parameter '${name}' is missing`);
      const jsonType = jsonTypeOf(value);
      const chosen = types.find((type) => type.jsonTypes.includes(jsonType));
      if (chosen !== undefined) return chosen.read(value, name, kind) as TypeOf<T[number]>;
      throw new QmpError(`Invalid parameter type for '${ownName(name)}', expected: ${typeName}`);
    },
  };
}

/** A type that refers to itself, as a block device that has a block device below. */
export function lazy<T>(make: () => QapiType<T>): QapiType<T> {
  let made: QapiType<T> | null = null;
  const type = () => {
    made ??= make();
    return made;
  };
  return {
    get jsonTypes() {
      return type().jsonTypes;
    },
    describe: (pool) => type().describe(pool),
    read: (value, name, kind) => type().read(value, name, kind),
  };
}

interface Source {
  readonly object: JsonObject;
  readonly name: string;
  readonly kind: InputKind;
  /** Members that some part of the schema has looked at. */
  readonly seen: Set<string>;
}

function readMembers(members: Members, source: Source): Record<string, unknown> {
  const { object, name, kind, seen } = source;
  const read: Record<string, unknown> = {};
  for (const [member, type] of Object.entries(members)) {
    seen.add(member);
    const value = type.read(object.get(member), fullName(name, member), kind);
    if (value !== undefined) read[member] = value;
  }
  return read;
}

function objectOf(value: JsonValue | undefined, name: string): JsonObject {
  if (value === undefined) throw new QmpError(`Parameter '${name}' is missing`);
  if (!isJsonObject(value) || value instanceof JsonFloat)
    throw new QmpError(`Invalid parameter type for '${name || "null"}', expected: object`);
  return value;
}

function refuseOthers(object: JsonObject, name: string, seen: ReadonlySet<string>): void {
  for (const member of object.keys()) {
    if (!seen.has(member))
      throw new QmpError(`Parameter '${fullName(name, member)}' is unexpected`);
  }
}

function fullName(name: string, member: string): string {
  return name === "" ? member : `${name}.${member}`;
}
