// Which part of the string table a run of events needs.

import { type EventBatch, LAYOUTS } from "#core/probe";

/**
 * The length of the string table that `batch` needs, at least `end`. A trace stores strings up to the highest that an
 * event names, so that its bytes do not depend on what else was interned meanwhile.
 */
export function stringsEnd(batch: EventBatch, end: number): number {
  let result = end;
  for (let i = 0; i < batch.count; i++) {
    const slots = STRING_SLOTS[batch.kind(i)];
    if (slots === undefined) continue;
    for (const slot of slots) result = Math.max(result, batch.arg(i, slot) + 1);
  }
  return result;
}

/** The slots that hold StringIds, by kind; undefined for kinds that have none. */
const STRING_SLOTS: readonly (readonly number[] | undefined)[] = LAYOUTS.map((layout) => {
  const fields = layout?.fields.filter((field) => field.type === "string") ?? [];
  return fields.length === 0 ? undefined : fields.map((field) => field.slot);
});
