// Options as QEMU keeps them: dotted names, simple values.

import type { BlockOptions, BlockOptionValue } from "#core/graph";
import type { BlockdevOptions } from "./blockdev-options.ts";

/** Members that say what a child is: no option of the node itself. */
const CHILDREN = /^(file|backing|data-file|image|test|raw|target|children)(\.|$)/;
/** What every node has, whose driver is not asked (blockdevOpen). */
const COMMON =
  /^(driver|node-name|discard|detect-zeroes|read-only|auto-read-only|force-share|cache\..*)$/;

/** qdict_flatten. */
export function flattenOptions(options: BlockdevOptions): BlockOptions {
  const flat: Record<string, BlockOptionValue> = {};
  const put = (value: unknown, name: string): void => {
    if (value === undefined) return;
    if (value === null || typeof value !== "object") {
      flat[name] = value as BlockOptionValue;
      return;
    }
    for (const [key, below] of Object.entries(value))
      put(below, name === "" ? key : `${name}.${key}`);
  };
  put(options, "");
  return flat;
}

/** What the user has chosen for the driver: a reopen must say it again, or the driver must be able to change it. */
export function chosenOptions(options: BlockdevOptions): BlockOptions {
  const chosen = Object.entries(flattenOptions(options)).filter(
    ([name]) => !CHILDREN.test(name) && !COMMON.test(name),
  );
  return Object.fromEntries(chosen);
}
