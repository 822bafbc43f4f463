// A drained_end of a section that had not begun, or that had ended before. Only where the trace has the run's beginning: what a
// ring's tail did not see begin may have begun all the same.

import { Ev } from "#core/probe";
import type { Names } from "../names.ts";
import { noteSection } from "./ledger.ts";
import type { Pass, PassContext } from "./pass.ts";

export class EndWithoutBegin implements Pass {
  readonly kinds = [Ev.ctx_new, Ev.drain_end] as const;
  readonly #context: PassContext;
  /** The trace begins with the run: what was not seen to begin did not begin. */
  #fromStart = false;

  constructor(context: PassContext) {
    this.#context = context;
  }

  on(kind: number, id: number, site: number): void {
    const { now, sections } = this.#context;
    if (kind === Ev.ctx_new) {
      this.#fromStart ||= now.index === 0;
      return;
    }
    const section = sections.get(id);
    if (section.begin >= 0 || !this.#fromStart) return;
    const { ctx, index } = now;
    const why = (names: Names): string => {
      const by = names.site(site).name || "a place unknown";
      return `It was ended without having begun, or twice. The end too many is that of ${by}, in ${names.ctx(ctx)} at event ${index}.`;
    };
    noteSection(this.#context, "end-without-begin", section, why, site);
  }

  finish(): void {}
}
