// An edit of `children` or `parents` that no drained section of its own operation holds: there is none, or it is somebody else's,
// or it holds another node, or it has ended or let go before the edit.

import { Ev } from "#core/probe";
import { whyLapsed } from "../conflicts/reasons.ts";
import type { EditRecord } from "../conflicts/variable.ts";
import type { Why } from "../drafts.ts";
import { noteEdit, ownSections } from "./own-sections.ts";
import type { Pass, PassContext } from "./pass.ts";

export class EditOutsideDrain implements Pass {
  readonly kinds = [Ev.list_insert, Ev.list_remove] as const;
  readonly #context: PassContext;

  constructor(context: PassContext) {
    this.#context = context;
  }

  on(): void {
    const { lastEdited } = this.#context.conflicts;
    const edit = lastEdited?.edit ?? null;
    if (lastEdited === null || edit === null) return;
    const own = ownSections(this.#context, lastEdited, edit);
    if (own === null || own.length > 0) return;
    noteEdit(this.#context, "edit-outside-drain", lastEdited, edit, this.#why(edit));
  }

  finish(): void {}

  #why(edit: EditRecord): Why {
    const { operations, sections } = this.#context;
    const { lapsed } = edit;
    if (lapsed !== null) return whyLapsed(lapsed, edit.index);
    const foreign = edit.holders[edit.holders.length - 1];
    if (foreign !== undefined) return { code: "foreign-section", section: foreign };
    const other = sections.open.findLast((section) => operations.opened(section));
    return other === undefined ? { code: "not-held" } : { code: "other-node", section: other };
  }
}
