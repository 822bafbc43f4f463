// What the run itself says: an assertion of QEMU's that failed, and how it ended.

import { Ev, RUN_STATUSES } from "#core/probe";
import type { Why } from "../drafts.ts";
import type { RuleId } from "../rules.ts";
import type { Pass, PassContext } from "./pass.ts";

export class VerdictRules implements Pass {
  readonly kinds = [Ev.model_assert, Ev.run_end] as const;
  readonly #context: PassContext;
  /** How the run ended; null before its last event. */
  status: "ok" | "assertion" | "deadlock" | "limit" | null = null;

  constructor(context: PassContext) {
    this.#context = context;
  }

  on(kind: number, a: number, b: number): void {
    if (kind === Ev.model_assert)
      this.#note("modelled-assertion", `${a} ${b}`, { code: "assertion", site: a, text: b });
    else {
      const word = RUN_STATUSES[a];
      this.status = word === undefined || word === "none" ? null : word;
    }
  }

  finish(): void {}

  #note(rule: RuleId, key: string, why: Why): void {
    const { drafts, now } = this.#context;
    drafts.note(`${rule} ${key}`, now.index, 1, () => ({
      rule,
      list: 0,
      owner: 0,
      node: null,
      edge: null,
      accesses: [],
      why,
      advice: null,
      luck: null,
    }));
  }
}
