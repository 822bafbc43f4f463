// JSON values as QMP knows them: an integer is not a float, and 64 bits fit.
//
// Objects are Maps: their keys come from strangers, and a key such as `__proto__` is one like any other.

/** A number that was written with a fraction or an exponent (C: QNum of kind double). */
export class JsonFloat {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
}

/** A JSON object. */
export type JsonObject = ReadonlyMap<string, JsonValue>;

/** A JSON value; integers that a double cannot hold exactly are bigint. */
export type JsonValue =
  | null
  | boolean
  | number
  | bigint
  | JsonFloat
  | string
  | readonly JsonValue[]
  | JsonObject;

/** Is it a JSON object? */
export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return value instanceof Map;
}

/** What can be sent: JSON values, and objects of this program. */
export type Sendable =
  | JsonValue
  | undefined
  | readonly Sendable[]
  | { readonly [key: string]: Sendable };

/** qobject_to_json: one line, with QEMU's spaces. Members that are undefined are left out. */
export function jsonText(value: Sendable): string {
  if (value instanceof JsonFloat) return floatText(value.value);
  if (typeof value === "number" || typeof value === "bigint") return String(value);
  if (value === null || typeof value !== "object") return asciiText(JSON.stringify(value ?? null));
  if (Array.isArray(value)) return `[${value.map(jsonText).join(", ")}]`;
  const members = value instanceof Map ? [...value] : Object.entries(value);
  const texts = members
    .filter(([, member]) => member !== undefined)
    .map(([key, member]) => `${asciiText(JSON.stringify(key))}: ${jsonText(member as Sendable)}`);
  return `{${texts.join(", ")}}`;
}

/** qobject_to_json_pretty: each member and element on a line of its own. */
export function prettyJsonText(value: Sendable, indent = ""): string {
  const deeper = `${indent}    `;
  const lines = (texts: readonly string[], open: string, close: string) =>
    texts.length === 0
      ? open + close
      : `${open}\n${texts.map((text) => deeper + text).join(",\n")}\n${indent}${close}`;
  if (Array.isArray(value))
    return lines(
      value.map((one) => prettyJsonText(one, deeper)),
      "[",
      "]",
    );
  if (value === null || typeof value !== "object" || value instanceof JsonFloat)
    return jsonText(value);
  const members = value instanceof Map ? [...value] : Object.entries(value);
  const texts = members
    .filter(([, member]) => member !== undefined)
    .map(([key, member]) => `${jsonText(key)}: ${prettyJsonText(member as Sendable, deeper)}`);
  return lines(texts, "{", "}");
}

/** The shortest text that reads back as the same double; a whole one has no point, and one beyond all is C's word for it. */
function floatText(value: number): string {
  if (Object.is(value, -0)) return "-0";
  return Number.isFinite(value) ? String(value) : `${value < 0 ? "-" : ""}inf`;
}

/** Everything that is not ASCII as `\uXXXX`, as QEMU does, so that no byte on the wire depends on an encoding. */
function asciiText(text: string): string {
  return text.replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}`,
  );
}
