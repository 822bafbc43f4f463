// The sections that an edit of `children` or `parents` may rely on: open ones that this operation opened and that hold the
// list's node. "This operation" is the call stack: the section was begun by the same activity (model/operations.ts), within the
// outermost graph operation that is under way, or by its caller before it. A quiesce_counter above zero proves none of that:
// another party may hold it.

import { List } from "#core/probe";
import { editAccess, subject } from "../conflicts/pairs.ts";
import type { EditRecord, Variable } from "../conflicts/variable.ts";
import type { Why } from "../drafts.ts";
import type { Section } from "../model/sections.ts";
import { NEVER } from "../order/knowledge.ts";
import type { RuleId } from "../rules.ts";
import type { PassContext } from "./pass.ts";

/**
 * The operation's own sections around `edit`, oldest first; null for an edit that needs none: of an alias, which goes with the
 * list; of an object that nobody else can have seen; off the main context, which is wrong as it is.
 */
export function ownSections(
  { operations }: PassContext,
  variable: Variable,
  edit: EditRecord,
): Section[] | null {
  if (edit.ctx !== 0 || edit.isPrivate) return null;
  if (variable.list !== List.children && variable.list !== List.parents) return null;
  return edit.holders.filter((section) => operations.opened(section) && section.end === NEVER);
}

/** Note a finding about one edit. */
export function noteEdit(
  { drafts, graph }: PassContext,
  rule: RuleId,
  variable: Variable,
  edit: EditRecord,
  why: Why,
): void {
  const key = `${rule} ${variable.list} ${edit.site} ${edit.chain} ${why.code}`;
  const guard = edit.ctx === 0 ? variable.guard : null;
  drafts.note(key, edit.index, 1, () => ({
    rule,
    ...subject(graph, variable),
    accesses: [editAccess(edit)],
    why,
    advice:
      guard === null ? null : { kind: "single", node: guard, chain: edit.chain, site: edit.site },
    luck: null,
  }));
}
