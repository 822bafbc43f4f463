// Options as on QEMU's command line: `key=value,key.sub=value`, or JSON when they begin with a brace.
//
// A comma in a value is written twice. A dotted key makes objects; keys that are numbers make lists (`children.0.driver`). The
// first part may leave its key out where the option has an implied one (C: keyval_parse).

import { QuiesceError } from "#core/base";
import { parseJson } from "./qmp/json-stream.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "./qmp/json-value.ts";

/** What an option says; `isText`: its leaves are text. */
export interface Keyval {
  readonly value: JsonObject;
  readonly isText: boolean;
}

/** Longest part of a key, as in QEMU. */
const KEY_LENGTH_MAX = 127;

/** Read `text`; `impliedKey` is the key of a first part without one. Throws a QuiesceError. */
export function parseKeyval(text: string, impliedKey: string | null = null): Keyval {
  if (text.startsWith("{")) return { value: jsonObject(text), isText: false };
  const root: Tree = new Map();
  for (const [index, part] of splitParts(text).entries()) {
    const equals = part.indexOf("=");
    const isImplied = equals < 0 && index === 0 && impliedKey !== null;
    if (equals < 0 && !isImplied) throw wrong(`Expected '=' after parameter '${part}'`);
    const key = isImplied ? (impliedKey ?? "") : part.slice(0, equals);
    put(root, key, isImplied ? part : part.slice(equals + 1));
  }
  const value = listify(root, "");
  if (!isJsonObject(value)) throw wrong("Parameters do not begin with a number");
  return { value, isText: true };
}

function jsonObject(text: string): JsonObject {
  let value: JsonValue;
  try {
    value = parseJson(text);
  } catch (error) {
    throw wrong(error instanceof Error ? error.message : "it is no JSON");
  }
  if (!isJsonObject(value)) throw wrong("it is no JSON object");
  return value;
}

function wrong(why: string): QuiesceError {
  return new QuiesceError("usage", why);
}

type Tree = Map<string, string | Tree>;

/** Parts between single commas, with double ones made single. */
function splitParts(text: string): string[] {
  const parts: string[] = [];
  let part = "";
  for (let at = 0; at < text.length; at++) {
    if (text[at] !== ",") part += text[at];
    else if (text[at + 1] === ",") {
      part += ",";
      at++;
    } else {
      parts.push(part);
      part = "";
    }
  }
  if (part !== "") parts.push(part);
  return parts;
}

function put(root: Tree, key: string, value: string): void {
  const names = key.split(".");
  let tree = root;
  for (const [index, name] of names.entries()) {
    if (name.length > KEY_LENGTH_MAX || !/^([A-Za-z_][A-Za-z0-9_-]*|[0-9]+)$/.test(name))
      throw wrong(`Invalid parameter '${key}'`);
    const there = tree.get(name);
    if (index === names.length - 1) {
      if (there instanceof Map) throw wrong(`Parameters '${key}.*' used inconsistently`);
      // The last one counts.
      tree.set(name, value);
      return;
    }
    if (typeof there === "string")
      throw wrong(`Parameters '${names.slice(0, index + 1).join(".")}.*' used inconsistently`);
    const below: Tree = there ?? new Map();
    tree.set(name, below);
    tree = below;
  }
}

/** Objects whose keys are 0, 1, ... are lists. */
function listify(tree: Tree, name: string): JsonValue {
  const members = [...tree].map(([key, value]): [string, JsonValue] => [
    key,
    typeof value === "string" ? value : listify(value, name === "" ? key : `${name}.${key}`),
  ]);
  const numbers = members.filter(([key]) => /^[0-9]+$/.test(key));
  if (numbers.length === 0) return new Map(members);
  if (numbers.length < members.length) throw wrong(`Parameters '${name}.*' used inconsistently`);
  const byIndex = new Map(members);
  return members.map((_, index) => {
    const element = byIndex.get(String(index));
    if (element === undefined) throw wrong(`Parameter '${name}.${index}' missing`);
    return element;
  });
}
