// What a judge has found: one draft for each place that broke the policy, however often. Reads are many, so their drafts are
// looked up by number.

import { Ev, List } from "#core/probe";
import { editAccess, sectionsNow, subject } from "../conflicts/pairs.ts";
import { cellKey, type EditRecord, LISTS_MAX, type Variable } from "../conflicts/variable.ts";
import { Drafts, type FindingDraft, type NewDraft, type Told } from "../drafts.ts";
import type { Holdable } from "../model/graph.ts";
import type { PassContext } from "../passes/pass.ts";
import type { RuleId } from "../rules.ts";

/** Sites below this make small keys, with contexts and lists: less than 2^30. */
const SMALL_SITES = 1 << 14;

export class Offences {
  readonly drafts = new Drafts();
  readonly #context: PassContext;
  /** By list, site and context outside of operations, and by these and the operations. */
  readonly #smallReads = new Map<number, FindingDraft>();
  readonly #reads = new Map<number, FindingDraft>();

  constructor(context: PassContext) {
    this.#context = context;
  }

  /** The read of `list` of `owner` at `site` that happens now broke the policy's one rule about reads. */
  read(rule: RuleId, list: number, owner: number, site: number, tell: () => Told): void {
    const { now, operations } = this.#context;
    const chain = operations.chain(now.ctx);
    const key = cellKey(site, now.ctx, chain) * LISTS_MAX + list;
    // A small number is found in a third of the time.
    const isSmall = chain === 0 && site < SMALL_SITES;
    const reads = isSmall ? this.#smallReads : this.#reads;
    const readKey = isSmall ? (now.ctx * SMALL_SITES + site) * LISTS_MAX + list : key;
    let draft = reads.get(readKey);
    if (draft === undefined) {
      const told = tell();
      draft = this.drafts.note(`${rule} ${key}`, now.index, 0, () =>
        this.#readDraft(rule, list, owner, site, told),
      );
      reads.set(readKey, draft);
    }
    draft.count++;
    draft.last = now.index;
  }

  #readDraft(rule: RuleId, list: number, owner: number, site: number, told: Told): NewDraft {
    const { now, graph, operations } = this.#context;
    const guard = graph.guard(list, owner);
    return {
      rule,
      list,
      owner,
      node: guard,
      edge: list === List.edge_bs ? graph.edge(owner) : null,
      accesses: [
        {
          what: "read",
          index: now.index,
          ctx: now.ctx,
          task: now.taskId,
          request: now.task === null ? null : now.task.request,
          site,
          chain: operations.chain(now.ctx),
          kind: Ev.list_read,
          value: 0,
          edge: null,
          sections: sectionsNow(guard, now.index),
        },
      ],
      why: { code: "told", told },
      advice: null,
      luck: null,
    };
  }

  /** An edit broke the policy; `earlier` is what it met, if it met something. */
  edit(
    rule: RuleId,
    variable: Variable,
    edit: EditRecord,
    told: Told,
    earlier: EditRecord | null = null,
  ): void {
    const sides = earlier === null ? [edit] : [earlier, edit];
    const key = sides.map((side) => `${side.site} ${side.chain} ${side.ctx}`).join(" ");
    this.drafts.note(`${rule} ${variable.list} ${key}`, edit.index, 1, () => ({
      rule,
      ...subject(this.#context.graph, variable),
      accesses: sides.map(editAccess),
      why: { code: "told", told },
      advice: null,
      luck: null,
    }));
  }

  /** Something else than an access broke the policy, at `site`; `node` is what it was done to. */
  other(rule: RuleId, site: number, told: Told, node: Holdable | null = null): void {
    const why = { code: "told", told } as const;
    this.drafts.tell(rule, `${site}`, this.#context.now.index, { why, node, site });
  }
}
