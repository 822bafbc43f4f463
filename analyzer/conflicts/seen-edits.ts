// Read-from edges of the full order (schedulable happens-before): whoever reads a list comes after its last edit, from there on.
//
// A read is judged before it learns, as it could have come earlier; what its context does afterwards could not have been the
// same, so it is ordered. Only the last edit counts: earlier ones are seen through it, or not at all.

import type { FullOrder } from "../order/full.ts";
import { labelOf } from "../order/full.ts";
import { SyncPoint } from "../order/sync-point.ts";
import type { Variable } from "./variable.ts";

const LABEL_READ_FROM = labelOf("read-from");

/** `unit` reads `variable`, and was judged. */
export function learnFromEdit(full: FullOrder, variable: Variable, unit: number): void {
  if (variable.seen !== null) full.acquire(variable.seen, unit, LABEL_READ_FROM);
}

/** `unit` has edited `variable`. */
export function tellReaders(full: FullOrder, variable: Variable, unit: number): void {
  variable.seen ??= new SyncPoint();
  full.releaseAlone(variable.seen, unit);
}
