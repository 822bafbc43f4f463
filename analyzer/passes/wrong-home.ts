// I/O code of a node, or code that polls for one, that ran in a thread which has no right to it: neither the node's own nor one
// that holds the lock of the node's context. The core says so itself, as an event.

import { Ev } from "#core/probe";
import type { Pass, PassContext } from "./pass.ts";

export class WrongHome implements Pass {
  readonly kinds = [Ev.wrong_home] as const;
  readonly #context: PassContext;

  constructor(context: PassContext) {
    this.#context = context;
  }

  on(_kind: number, site: number, home: number, polls: number): void {
    const { drafts, now } = this.#context;
    const { ctx } = now;
    drafts.tell("wrong-home", `${site} ${home}`, now.index, {
      why: { code: "home", site, ctx, home, polls: polls !== 0 },
      node: null,
      site,
    });
  }

  finish(): void {}
}
