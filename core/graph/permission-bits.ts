// What a parent may do with its child, and what it lets the child's other parents do: the permission bits and their names.
// State only; who computes them is default-perms.ts (drivers) and permissions.ts (the refresh). docs: QEMU's BLK_PERM_*.

import { assert } from "../base/index.ts";

/** Reads see a consistent image. */
export const BLK_PERM_CONSISTENT_READ = 0x01;
/** Change the visible contents. */
export const BLK_PERM_WRITE = 0x02;
/** Write what was there already; weaker than WRITE, which answers for it. */
export const BLK_PERM_WRITE_UNCHANGED = 0x04;
/** Change the length. */
export const BLK_PERM_RESIZE = 0x08;
export const BLK_PERM_ALL = 0x0f;

/** What a filter asks of its child when its parents ask it of the filter: everything. */
export const DEFAULT_PERM_PASSTHROUGH =
  BLK_PERM_CONSISTENT_READ | BLK_PERM_WRITE | BLK_PERM_WRITE_UNCHANGED | BLK_PERM_RESIZE;
/** Any kind of write. */
export const BLK_PERM_ANY_WRITE = BLK_PERM_WRITE | BLK_PERM_WRITE_UNCHANGED;

/** What is asked (`perm`) and what others may have (`sharedPerm`): of an edge, or of all edges above a node together. */
export interface Permissions {
  readonly perm: number;
  readonly sharedPerm: number;
}

const NAMES: readonly (readonly [number, string])[] = [
  [BLK_PERM_CONSISTENT_READ, "consistent read"],
  [BLK_PERM_WRITE, "write"],
  [BLK_PERM_WRITE_UNCHANGED, "write unchanged"],
  [BLK_PERM_RESIZE, "resize"],
];

/** bdrv_perm_names (block.c:2567): the names of the bits in `perm`, for people. Common. */
export function bdrvPermNames(perm: number): string {
  assert(Number.isInteger(perm), "permissions are bits");
  assert((perm & ~BLK_PERM_ALL) === 0, "there are four permissions");
  return NAMES.filter(([bit]) => (perm & bit) !== 0)
    .map(([, name]) => name)
    .join(", ");
}
