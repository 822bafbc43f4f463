// Global-state code (a function that begins with GLOBAL_STATE_CODE) that ran outside the main context. The core says so itself,
// as an event; with patch 12 its assertion stops the run right after.

import { Ev } from "#core/probe";
import type { Pass, PassContext } from "./pass.ts";

export class WrongThread implements Pass {
  readonly kinds = [Ev.wrong_thread] as const;
  readonly #context: PassContext;

  constructor(context: PassContext) {
    this.#context = context;
  }

  on(_kind: number, site: number): void {
    const { drafts, now } = this.#context;
    const { ctx } = now;
    drafts.tell("wrong-thread", `${site}`, now.index, {
      why: { code: "thread", site, ctx },
      node: null,
      site,
    });
  }

  finish(): void {}
}
