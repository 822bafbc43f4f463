// Which races are consequences of another (race coverage, as EventRacer has it): if the two accesses of one race had been ordered as
// they happened to come in this run, would the two of another have been ordered as well?
//
//   io1    a ────── c                    the race (a, b) is covered by the race (c, d):
//                     ╲                  a comes before c in one context, d before b in the full order,
//   main               d ────── b        so that c → d would have ordered a → b
//
// What is compared is the pair that a finding shows, its first one. That a comes before c is looked for within one context only: the
// past of a past access is not kept (a race whose first accesses are in different contexts stands by itself). Of d before b the full
// order knows everything. Only races of the full analysis are grouped; with the sanctioned order alone there is none to ask.

import type { FindingDraft } from "../drafts.ts";
import type { FullOrder } from "../order/full.ts";

/** The pair that a race shows, and the time of its later access. */
interface Shown {
  readonly draft: FindingDraft;
  readonly firstCtx: number;
  readonly first: number;
  readonly lastCtx: number;
  readonly last: number;
  readonly epoch: number;
}

export class Consequences {
  readonly #full: FullOrder;
  readonly #shown: Shown[] = [];

  constructor(full: FullOrder) {
    this.#full = full;
  }

  /** A race was found whose later access happens now. */
  add(draft: FindingDraft): void {
    const [a, b] = draft.accesses;
    if (a === undefined || b === undefined) return;
    const epoch = this.#full.epochNow(b.ctx);
    const now: Shown = {
      draft,
      firstCtx: a.ctx,
      first: a.index,
      lastCtx: b.ctx,
      last: b.index,
      epoch,
    };
    for (const other of this.#shown) {
      if (this.#covers(other, now)) draft.consequenceOf ??= other.draft;
      // Of several races with one access, the one inside of the others may be found last.
      if (other.last === now.last && this.#covers(now, other)) other.draft.consequenceOf ??= draft;
    }
    this.#shown.push(now);
  }

  /** Whether to order the pair of `inner` would have ordered that of `outer`, whose later access happens now. */
  #covers(inner: Shown, outer: Shown): boolean {
    if (outer.firstCtx !== inner.firstCtx || outer.first > inner.first) return false;
    if (inner.last === outer.last) return outer.first < inner.first;
    return this.#full.known(outer.lastCtx, inner.lastCtx) >= inner.epoch;
  }
}

/** The race that `draft` is a consequence of, at the end of the chain; null when it stands by itself. */
export function rootOf(draft: FindingDraft): FindingDraft | null {
  let root = draft.consequenceOf;
  while (root?.consequenceOf != null) root = root.consequenceOf;
  return root;
}
