// An edit of `children` or `parents` inside a drained section of its own operation that has not waited yet: the section keeps new
// requests out, but those in flight when it began may still walk the list.

import { Ev } from "#core/probe";
import { NEVER } from "../order/knowledge.ts";
import { noteEdit, ownSections } from "./own-sections.ts";
import type { Pass, PassContext } from "./pass.ts";

export class EditBeforePollEnd implements Pass {
  readonly kinds = [Ev.list_insert, Ev.list_remove] as const;
  readonly #context: PassContext;

  constructor(context: PassContext) {
    this.#context = context;
  }

  on(): void {
    const { lastEdited } = this.#context.conflicts;
    const edit = lastEdited?.edit ?? null;
    if (lastEdited === null || edit === null) return;
    const own = ownSections(this.#context, lastEdited, edit) ?? [];
    const section = own[own.length - 1];
    if (section === undefined || own.some(({ pollEnd }) => pollEnd !== NEVER)) return;
    const why = { code: "not-waited", section } as const;
    noteEdit(this.#context, "edit-before-poll-end", lastEdited, edit, why);
  }

  finish(): void {}
}
