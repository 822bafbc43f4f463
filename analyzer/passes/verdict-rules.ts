// What the run itself says: an assertion of QEMU's that failed, and a run in which nothing can ever run again.

import { Ev, RUN_STATUSES } from "#core/probe";
import type { Why } from "../drafts.ts";
import type { RuleId } from "../rules.ts";
import type { Pass, PassContext } from "./pass.ts";

/** A context that waits for ever: what for, outermost frame first. */
export interface StuckFrame {
  readonly ctx: number;
  readonly depth: number;
  readonly site: number;
}

export class VerdictRules implements Pass {
  readonly kinds = [Ev.model_assert, Ev.stuck, Ev.run_end] as const;
  readonly #context: PassContext;
  readonly #stuck: StuckFrame[] = [];
  /** How the run ended; null before its last event. */
  status: "ok" | "assertion" | "deadlock" | "limit" | null = null;

  constructor(context: PassContext) {
    this.#context = context;
  }

  on(kind: number, a: number, b: number, c: number): void {
    if (kind === Ev.stuck) this.#stuck.push({ ctx: a, depth: b, site: c });
    else if (kind === Ev.model_assert)
      this.#note("modelled-assertion", `${a} ${b}`, { code: "assertion", site: a, text: b });
    else {
      const word = RUN_STATUSES[a];
      this.status = word === undefined || word === "none" ? null : word;
      if (word === "deadlock") this.#note("deadlock", "", { code: "stuck", frames: this.#stuck });
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
