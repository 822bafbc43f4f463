// What the run itself says: an assertion of QEMU's that failed, and how it ended.

import { Ev, RUN_STATUSES } from "#core/probe";
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
      this.#context.drafts.tell("modelled-assertion", `${a} ${b}`, this.#context.now.index, {
        why: { code: "assertion", site: a, text: b },
        node: null,
        site: a,
      });
    else {
      const word = RUN_STATUSES[a];
      this.status = word === undefined || word === "none" ? null : word;
    }
  }

  finish(): void {}
}
