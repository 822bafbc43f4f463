// Images whose name has their options: `json:{"driver": "qcow2", "file": {"driver": "file", "filename": "base.img"}}`, as the header of
// an image may have it for what is below, and --drive for a file.
//
// As in QEMU these options are not those of blockdev-add to the letter: a member may be written with dots in place of objects, numbers
// and switches may be text, and a driver may be left out where the file tells it. So they are written out as text on a command line
// would have them, and read as that.

import { EINVAL } from "#core/base";
import { BlockError } from "#core/graph";
import type { Polls } from "#core/sched";
import { BLOCKDEV_DRIVERS, type BlockdevOptions, blockdevOptions } from "./blockdev-options.ts";
import { parseKeyval } from "./keyval.ts";
import { parseJson } from "./qmp/json-stream.ts";
import { isJsonObject, JsonFloat, type JsonObject, type JsonValue } from "./qmp/json-value.ts";
import { QmpError } from "./qmp/schema.ts";

/** Finds out the format of what the options of a file describe. */
export type Probe = (file: BlockdevOptions) => Polls<"raw" | "qcow2">;

/**
 * parse_json_protocol (block.c:1971): the options in `json`, which follows `json:`; `format`, when it is known from elsewhere, is the
 * driver whatever they say. BlockError. Polls as `probe` does.
 */
export function* blockdevOfJson(
  json: string,
  format: string | null,
  probe: Probe,
): Polls<BlockdevOptions> {
  const given = new Map(flatOptions(json));
  if (format !== null) given.set("driver", format);
  const whole = yield* withDriver(given, probe);
  return read(whole);
}

/** The options as a tree of text; what is null stays so. */
function flatOptions(json: string): JsonObject {
  const nulls: string[] = [];
  const parts: string[] = [];
  const flatten = (value: JsonValue, key: string): void => {
    if (isJsonObject(value))
      for (const [name, member] of value) flatten(member, key === "" ? name : `${key}.${name}`);
    else if (Array.isArray(value))
      for (const [index, member] of value.entries()) flatten(member, `${key}.${index}`);
    else if (value === null) nulls.push(key);
    else parts.push(`${key}=${textOf(value).replaceAll(",", ",,")}`);
  };
  flatten(parse(json), "");
  try {
    const tree = new Map(parseKeyval(parts.join(",")).value);
    for (const key of nulls) if (!key.includes(".")) tree.set(key, null);
    return tree;
  } catch (error) {
    throw refusal(error, "");
  }
}

function parse(json: string): JsonObject {
  let value: JsonValue;
  try {
    value = parseJson(json);
  } catch (error) {
    const why = json.trim() === "" ? "Expecting a JSON value" : messageOf(error);
    throw new BlockError(EINVAL, `Could not parse the JSON options: ${why}`);
  }
  if (!isJsonObject(value)) throw new BlockError(EINVAL, "Invalid JSON object given");
  return value;
}

/** As it stands on a command line. */
function textOf(value: JsonValue): string {
  if (typeof value === "boolean") return value ? "on" : "off";
  return value instanceof JsonFloat ? String(value.value) : String(value);
}

/** bdrv_fill_options: a file that says no driver is one, and an image that says none is what its first bytes say. Polls. */
function* withDriver(options: JsonObject, probe: Probe): Polls<JsonObject> {
  const whole = new Map(options);
  for (const name of ["file", "image"]) {
    const file = whole.get(name);
    if (!isJsonObject(file) || file.has("driver")) continue;
    const isFile = file.has("filename");
    whole.set(
      name,
      isFile ? new Map([["driver", "file"], ...file]) : yield* withDriver(file, probe),
    );
  }
  const backing = whole.get("backing");
  if (isJsonObject(backing)) whole.set("backing", yield* withDriver(backing, probe));
  if (whole.has("driver")) return whole;
  const file = whole.get("file");
  if (!isJsonObject(file)) throw new BlockError(EINVAL, "Must specify either driver or file");
  whole.set("driver", yield* probe(read(file)));
  return whole;
}

/** The options of one driver, and of those below it; refused in QEMU's words. */
function read(options: JsonObject): BlockdevOptions {
  const driver = options.get("driver");
  if (!BLOCKDEV_DRIVERS.some((known) => known === driver))
    throw new BlockError(EINVAL, `Unknown driver '${String(driver)}'`);
  // What is null has no text: no image below, or no file, which is missed then.
  const texts = new Map([...options].filter(([, value]) => value !== null));
  try {
    const asked = blockdevOptions.read(texts, "", "opts");
    const isBare = asked.driver === "qcow2" && options.get("backing") === null;
    return isBare ? { ...asked, backing: null } : asked;
  } catch (error) {
    throw refusal(error, String(driver));
  }
}

function refusal(error: unknown, driver: string): BlockError {
  const message = messageOf(error);
  if (!(error instanceof QmpError)) return new BlockError(EINVAL, message);
  const unknown = /^Parameters? '([^'.]*)(\.\*)?' (is|are) unexpected$/.exec(message)?.[1];
  if (unknown !== undefined)
    return new BlockError(
      EINVAL,
      `Block format '${driver}' does not support the option '${unknown}'`,
    );
  const isFileless = message === "Parameter 'file' is missing";
  return new BlockError(
    EINVAL,
    isFileless ? 'A block device must be specified for "file"' : message,
  );
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
