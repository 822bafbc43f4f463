// A drained section that was begun and never ended, in a run that came to its end: what it holds never serves requests again.
// A run that was cut short, or that stopped at an assertion or in a deadlock, owes nothing.

import { Ev, Status } from "#core/probe";
import { entriesText, heldBy, noteSection } from "./ledger.ts";
import type { Pass, PassContext } from "./pass.ts";

export class UnfinishedDrain implements Pass {
  readonly kinds = [Ev.run_end] as const;
  readonly #context: PassContext;
  #endedWell = false;

  constructor(context: PassContext) {
    this.#context = context;
  }

  on(_kind: number, status: number): void {
    this.#endedWell = status === Status.ok;
  }

  finish(): void {
    if (!this.#endedWell) return;
    const { sections, graph } = this.#context;
    for (const section of sections.open) {
      if (section.begin < 0) continue;
      const entries = heldBy(graph, section);
      noteSection(this.#context, "unfinished-drain", section, (names) => {
        const owes = `${names.site(section.site).name}, in ${names.ctx(section.ctx)} at event ${section.begin}, owes its end`;
        const holds = entries.length === 0 ? "" : `; it holds ${entriesText(entries, names)}`;
        return `It was begun and never ended. ${owes}${holds}.`;
      });
    }
  }
}
