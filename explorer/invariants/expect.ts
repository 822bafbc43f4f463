// How a check says what is wrong.

import type { BlockBackend } from "#core/backend";
import { AssertionError } from "#core/base";
import { BdrvChild, BlockDriverState } from "#core/graph";
import { Job } from "#core/jobs";

type Thing = BlockDriverState | BdrvChild | Job | BlockBackend | string;

/** Throws AssertionError when they differ. */
export function expectEqual(expected: number, actual: number, whose: Thing, what: string): void {
  if (expected === actual) return;
  throw new AssertionError(`${nameOf(whose)}: ${what} is ${actual}, and should be ${expected}`);
}

function nameOf(thing: Thing): string {
  if (typeof thing === "string") return thing;
  if (thing instanceof BlockDriverState) return `node '${thing.nodeName}'`;
  if (thing instanceof BdrvChild) return `edge ${thing.id} '${thing.name}'`;
  if (thing instanceof Job) return `job ${thing.id}`;
  return `BlockBackend ${thing.id}`;
}
