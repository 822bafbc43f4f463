// The configuration file of blkdebug (C: qemu_config_parse with the groups inject-error and set-state).
//
//     [inject-error]                 # one rule a group
//     event = "l2_load"
//     errno = "28"
//
// A line is a group, `name = "value"`, empty, or begins with #. The words of errors are QEMU's.

import { EINVAL, EIO } from "../../base/index.ts";
import { BlockError } from "../../graph/block-error.ts";
import { type BlkdebugEvent, isBlkdebugEvent } from "../../graph/debug-events.ts";
import { BLKDEBUG_IO_TYPES, type BlkdebugIoType, type BlkdebugRule } from "./state.ts";

/** Bytes of a configuration file at most. */
export const CONFIG_BYTES_MAX = 1 << 20;

const SECTOR_BYTES = 512;

const GROUPS: Readonly<Record<string, readonly string[]>> = {
  "inject-error": ["event", "state", "iotype", "errno", "sector", "once", "immediately"],
  "set-state": ["event", "state", "new_state"],
};

interface Group {
  readonly name: string;
  readonly options: Map<string, string>;
}

/** read_config (block/blkdebug.c:234): the rules of a file with this text, in its order. BlockError. Common. */
export function parseBlkdebugConfig(text: string): BlkdebugRule[] {
  const groups = groupsOf(text);
  const rulesOf = (name: string) => groups.filter((group) => group.name === name);
  return [
    ...rulesOf("inject-error").map(({ options }) => injectErrorRule(options)),
    ...rulesOf("set-state").map(({ options }) => setStateRule(options)),
  ];
}

function groupsOf(text: string): Group[] {
  const groups: Group[] = [];
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  for (const line of lines) {
    if (line === "" || line.startsWith("#")) continue;
    const group = /^\[([^\] "]{1,63})(?: "([^"]{1,63})")?\]/.exec(line)?.[1];
    if (group !== undefined) {
      if (GROUPS[group] === undefined) refuse(`There is no option group '${group}'`);
      groups.push({ name: group, options: new Map() });
      continue;
    }
    const [, name = "", value = ""] =
      /^\s*(\S{1,63})\s*=\s*"([^"]{0,1023})"/.exec(line) ?? refuse("parse error");
    const current = groups.at(-1) ?? refuse("no group defined");
    if (!(GROUPS[current.name] ?? []).includes(name)) refuse(`Invalid parameter '${name}'`);
    current.options.set(name, value);
  }
  return groups;
}

/** add_rule (block/blkdebug.c:151) for ACTION_INJECT_ERROR. */
function injectErrorRule(options: ReadonlyMap<string, string>): BlkdebugRule {
  const sector = numberOf(options, "sector");
  return {
    action: "inject-error",
    event: eventOf(options),
    state: numberOf(options, "state") ?? 0,
    errno: numberOf(options, "errno") ?? EIO,
    once: boolOf(options, "once"),
    immediately: boolOf(options, "immediately"),
    offset: sector === null ? null : sector * SECTOR_BYTES,
    ioType: ioTypeOf(options),
  };
}

function setStateRule(options: ReadonlyMap<string, string>): BlkdebugRule {
  const state = numberOf(options, "state") ?? 0;
  const newState = numberOf(options, "new_state") ?? 0;
  return { action: "set-state", event: eventOf(options), state, newState };
}

function eventOf(options: ReadonlyMap<string, string>): BlkdebugEvent {
  const event = options.get("event") ?? refuse("Missing event name for rule");
  return isBlkdebugEvent(event) ? event : refuse(`invalid parameter value: ${event}`);
}

function ioTypeOf(options: ReadonlyMap<string, string>): BlkdebugIoType | null {
  const word = options.get("iotype");
  if (word === undefined) return null;
  const known = BLKDEBUG_IO_TYPES.find((one) => one === word);
  return known ?? refuse(`invalid parameter value: ${word}`);
}

function numberOf(options: ReadonlyMap<string, string>, name: string): number | null {
  const text = options.get(name);
  if (text === undefined) return null;
  const value = /^(0[xX][0-9a-fA-F]+|[0-9]+)$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isNaN(value)) refuse(`Parameter '${name}' expects a number`);
  if (!Number.isSafeInteger(value)) refuse(`Value '${text}' is too large for parameter '${name}'`);
  return value;
}

function boolOf(options: ReadonlyMap<string, string>, name: string): boolean {
  const text = options.get(name) ?? "off";
  if (text !== "on" && text !== "off") refuse(`Parameter '${name}' expects 'on' or 'off'`);
  return text === "on";
}

function refuse(message: string): never {
  throw new BlockError(EINVAL, message);
}
