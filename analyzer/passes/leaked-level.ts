// A section that has ended, and left levels of quiesce counters behind: an edge moved while the section was under way, and what
// was raised through it was not lowered. Levels that another section took over are that section's.

import { Ev, Status } from "#core/probe";
import type { Section } from "../model/sections.ts";
import { NEVER } from "../order/knowledge.ts";
import { entriesText, heldBy, noteSection } from "./ledger.ts";
import type { Pass, PassContext } from "./pass.ts";

export class LeakedLevel implements Pass {
  readonly kinds = [Ev.drain_ended, Ev.run_end] as const;
  readonly #context: PassContext;
  #endedWell = false;
  /** Sections that had ended and still held levels then. */
  readonly #leftovers = new Set<Section>();

  constructor(context: PassContext) {
    this.#context = context;
  }

  on(kind: number, a: number): void {
    if (kind === Ev.run_end) {
      this.#endedWell = a === Status.ok;
      return;
    }
    const section = this.#context.sections.get(a);
    if (section.levels > 0) this.#leftovers.add(section);
  }

  finish(): void {
    if (!this.#endedWell) return;
    for (const section of [...this.#leftovers].sort(byBegin)) {
      if (section.levels <= 0) continue;
      const entries = heldBy(this.#context.graph, section);
      noteSection(this.#context, "leaked-level", section, (names) => {
        const what = entries.length === 0 ? "" : `: ${entriesText(entries, names)}`;
        return `It has ended, but levels that it had raised were never lowered${what}.`;
      });
    }
  }
}

/** Oldest first; those whose begin the trace does not tell come last. */
function byBegin(a: Section, b: Section): number {
  return (a.begin < 0 ? NEVER : a.begin) - (b.begin < 0 ? NEVER : b.begin);
}
