// An in-flight or quiesce counter that went below zero.

import { Ev } from "#core/probe";
import type { Holdable } from "../model/graph.ts";
import type { Pass, PassContext } from "./pass.ts";

export class UnbalancedCounter implements Pass {
  readonly kinds = [Ev.bs_unquiesce, Ev.blk_unquiesce] as const;
  readonly #context: PassContext;

  constructor(context: PassContext) {
    this.#context = context;
  }

  on(kind: number, id: number, value: number): void {
    const { graph } = this.#context;
    if (value < 0)
      this.belowZero("quiesce", kind === Ev.bs_unquiesce ? graph.node(id) : graph.blk(id));
  }

  finish(): void {}

  /** A counter of `holdable` went below zero. */
  belowZero(what: "in-flight" | "quiesce", holdable: Holdable): void {
    const { drafts, now } = this.#context;
    drafts.tell("unbalanced-counter", `${what} ${holdable.kind}`, now.index, {
      why: { code: "text", text: `Its ${what} counter went below zero.` },
      node: holdable,
      site: 0,
    });
  }
}
