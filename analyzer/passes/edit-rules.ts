// Rules about a single edit: outside a drain, before the drain has waited, off the main context.
//
// An edit of `children` or `parents` must be made inside a section that this operation opened, that holds the list's node,
// and whose poll phase has ended. "This operation" is the call stack: the section was begun by the same activity (model/
// operations.ts), within the outermost graph operation that is under way, or by its caller before it. A quiesce_counter above
// zero proves none of that: another party may hold it. Lists of objects that nobody else can have seen yet need no drain.

import { Ev, List } from "#core/probe";
import { editAccess, subject } from "../conflicts/pairs.ts";
import { whyLapsed } from "../conflicts/reasons.ts";
import type { EditRecord, Variable } from "../conflicts/variable.ts";
import type { Why } from "../drafts.ts";
import { NEVER } from "../order/knowledge.ts";
import type { RuleId } from "../rules.ts";
import type { Pass, PassContext } from "./pass.ts";

/** Edits of the graph. */
const EDIT_KINDS = [Ev.list_insert, Ev.list_remove, Ev.list_set] as const;

export class EditRules implements Pass {
  readonly kinds = EDIT_KINDS;
  readonly #context: PassContext;

  constructor(context: PassContext) {
    this.#context = context;
  }

  on(): void {
    const { conflicts } = this.#context;
    const { lastEdited } = conflicts;
    if (lastEdited === null || lastEdited.edit === null) return;
    this.#judge(lastEdited, lastEdited.edit);
  }

  finish(): void {}

  #judge(variable: Variable, edit: EditRecord): void {
    if (edit.ctx !== 0) {
      this.#note("wrong-thread", variable, edit, {
        code: "text",
        text: "Only the main context may edit the graph.",
      });
      return;
    }
    if (variable.list !== List.children && variable.list !== List.parents) return;
    if (edit.isPrivate) return;
    const { operations } = this.#context;
    const own = edit.holders.filter(
      (section) => operations.opened(section) && section.end === NEVER,
    );
    if (own.some((section) => section.pollEnd !== NEVER)) return;
    const waiting = own[own.length - 1];
    if (waiting !== undefined)
      this.#note("edit-before-poll-end", variable, edit, { code: "not-waited", section: waiting });
    else this.#note("edit-outside-drain", variable, edit, this.#whyOutside(edit));
  }

  #whyOutside(edit: EditRecord): Why {
    const { operations, sections } = this.#context;
    const { lapsed } = edit;
    if (lapsed !== null) return whyLapsed(lapsed, edit.index);
    const foreign = edit.holders[edit.holders.length - 1];
    if (foreign !== undefined) return { code: "foreign-section", section: foreign };
    const other = sections.open.findLast((section) => operations.opened(section));
    return other === undefined ? { code: "not-held" } : { code: "other-node", section: other };
  }

  #note(rule: RuleId, variable: Variable, edit: EditRecord, why: Why): void {
    const { drafts, graph } = this.#context;
    const key = `${rule} ${variable.list} ${edit.site} ${edit.chain} ${why.code}`;
    drafts.note(key, edit.index, 1, () => ({
      rule,
      ...subject(graph, variable),
      accesses: [editAccess(edit)],
      why,
      advice:
        rule === "wrong-thread" || variable.guard === null
          ? null
          : { kind: "single", node: variable.guard, chain: edit.chain, site: edit.site },
      luck: null,
    }));
  }
}
