// Rules about sections and counters on their own: sections that never end, ends without a begin, levels left behind, counters
// below zero, requests that end while they hold a counter.

import { Ev } from "#core/probe";
import type { Why } from "../drafts.ts";
import type { Holdable } from "../model/graph.ts";
import type { Section } from "../model/sections.ts";
import type { RuleId } from "../rules.ts";
import type { Pass, PassContext } from "./pass.ts";

export class DrainRules implements Pass {
  readonly kinds = [
    Ev.ctx_new,
    Ev.drain_end,
    Ev.drain_ended,
    Ev.bs_unquiesce,
    Ev.blk_unquiesce,
    Ev.run_end,
  ] as const;
  readonly #context: PassContext;
  /** The trace begins with the run: what was not seen to begin did not begin. */
  #fromStart = false;
  #endedWell = false;
  /** Sections that had ended and still hold levels. */
  readonly #leftovers = new Set<Section>();

  constructor(context: PassContext) {
    this.#context = context;
  }

  on(kind: number, a: number, b: number): void {
    const { sections, graph, now } = this.#context;
    if (kind === Ev.ctx_new) this.#fromStart ||= now.index === 0;
    else if (kind === Ev.run_end) this.#endedWell = a === 1;
    else if (kind === Ev.drain_ended) {
      const section = sections.get(a);
      if (section.levels > 0) this.#leftovers.add(section);
    } else if (kind === Ev.drain_end) this.#ends(sections.get(a));
    else if (b < 0)
      this.belowZero("quiesce", kind === Ev.bs_unquiesce ? graph.node(a) : graph.blk(a));
  }

  #ends(section: Section): void {
    if (section.begin < 0 && this.#fromStart)
      this.#note(section, "It was ended without having begun, or twice.");
  }

  /** A counter of `holdable` went below zero. */
  belowZero(what: "in-flight" | "quiesce", holdable: Holdable): void {
    this.#draft("unbalanced-counter", `${what} ${holdable.kind}`, holdable, {
      code: "text",
      text: `Its ${what} counter went below zero.`,
    });
  }

  finish(): void {
    const { sections } = this.#context;
    if (!this.#endedWell) return;
    for (const section of sections.open) {
      if (section.begin >= 0) this.#note(section, "It was begun and never ended.");
    }
    for (const section of this.#leftovers) {
      if (section.levels > 0)
        this.#note(section, "It has ended, but levels that it had raised were never lowered.");
    }
  }

  #note(section: Section, text: string): void {
    const { node } = section;
    this.#draft("unfinished-drain", `${section.site} ${text}`, node, {
      code: "section",
      section,
      text,
    });
  }

  #draft(rule: RuleId, key: string, node: Holdable | null, why: Why): void {
    const index =
      why.code === "section" && why.section.begin >= 0
        ? why.section.begin
        : this.#context.now.index;
    this.#context.drafts.note(`${rule} ${key}`, index, 1, () => ({
      rule,
      list: 0,
      owner: 0,
      node,
      edge: null,
      accesses: [],
      why,
      advice: null,
      luck: null,
    }));
  }
}
