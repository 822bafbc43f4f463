// An edit of the graph in another context than main. No drain helps: the lists have one editor.

import { Ev, List } from "#core/probe";
import { noteEdit } from "./own-sections.ts";
import type { Pass, PassContext } from "./pass.ts";

export class EditOffMain implements Pass {
  readonly kinds = [Ev.list_insert, Ev.list_remove, Ev.list_set] as const;
  readonly #context: PassContext;

  constructor(context: PassContext) {
    this.#context = context;
  }

  on(): void {
    const { conflicts, graph } = this.#context;
    const { lastEdited } = conflicts;
    const edit = lastEdited?.edit ?? null;
    if (lastEdited === null || edit === null || edit.ctx === 0) return;
    const { list, owner, guard } = lastEdited;
    const edge = list === List.edge_bs ? graph.edge(owner) : null;
    noteEdit(this.#context, "edit-off-main", lastEdited, edit, {
      code: "told",
      told: {
        title: (names) =>
          `${names.site(edit.site).name} edits ${names.listText(list, guard, edge)} in ${names.ctx(edit.ctx)}.`,
        why: () => "Only the main context may edit the graph.",
      },
    });
  }

  finish(): void {}
}
