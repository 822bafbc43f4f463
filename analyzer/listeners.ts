// Which rules ask for which kinds of event, and therefore what the loop does with an event of a kind. A rule may ask for a
// frequent kind for as long as it needs it and no longer: while nobody listens, an event costs what it did before.

import { type EventKind, KIND_MAX } from "#core/probe";
import type { Pass } from "./passes/pass.ts";

/** What is done with events of a kind: nothing, the model and the orders, those and then the rules; req_begin has its own. */
export const USE_NONE = 0;
export const USE_MODEL = 1;
export const USE_RULES = 2;
export const USE_REQUEST = 3;

export class Listeners {
  /** What is done with events of each kind. */
  readonly uses = new Uint8Array(KIND_MAX).fill(USE_MODEL);
  /** The same when no rule listens. */
  readonly #quiet = new Uint8Array(KIND_MAX).fill(USE_MODEL);
  readonly #byKind: (readonly Pass[] | null)[] = new Array<readonly Pass[] | null>(KIND_MAX).fill(
    null,
  );

  /** What is done with events of `kind` while no rule listens. */
  setQuiet(kind: number, use: number): void {
    this.#quiet[kind] = use;
    if (this.#byKind[kind] == null) this.uses[kind] = use;
  }

  /** From the next event on, `pass` is given events of `kind`. */
  add(kind: EventKind, pass: Pass): void {
    const passes = this.#byKind[kind] ?? [];
    if (passes.includes(pass)) return;
    this.#byKind[kind] = [...passes, pass];
    this.uses[kind] = USE_RULES;
  }

  /** From the next event on, it is not. */
  remove(kind: EventKind, pass: Pass): void {
    const passes = (this.#byKind[kind] ?? []).filter((other) => other !== pass);
    this.#byKind[kind] = passes.length === 0 ? null : passes;
    if (passes.length === 0) this.uses[kind] = this.#quiet[kind] as number;
  }

  /** The rules that ask for events of this kind. */
  tell(kind: number, a: number, b: number, c: number, d: number): void {
    for (const pass of this.#byKind[kind] ?? []) pass.on(kind, a, b, c, d);
  }
}
