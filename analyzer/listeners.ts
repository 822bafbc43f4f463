// Which rules ask for which kinds of event, and therefore what the loop does with an event of a kind. Main edits the graph and
// drains; nearly all events are those of requests elsewhere. So a rule that is about main asks for its kinds there alone, and a
// rule may ask for a frequent kind for as long as it needs it and no longer: while nobody listens, an event costs what it did
// before.

import { type EventKind, KIND_MAX } from "#core/probe";
import type { Pass } from "./passes/pass.ts";

/** What is done with events of a kind: nothing, the model and the orders, those and then the rules; two have their own. */
export const USE_NONE = 0;
export const USE_MODEL = 1;
export const USE_RULES = 2;
export const USE_REQUEST = 3;
export const USE_READ = 4;

/** Where events of a kind happen: in main, or anywhere. */
export type Where = "main" | "everywhere";

/** What happens in one place: in main, or elsewhere. */
class Place {
  /** What is done with events of each kind. */
  readonly uses = new Uint8Array(KIND_MAX).fill(USE_MODEL);
  /** The same when no rule listens. */
  readonly #quiet = new Uint8Array(KIND_MAX).fill(USE_MODEL);
  readonly #byKind: (readonly Pass[])[] = new Array<readonly Pass[]>(KIND_MAX).fill([]);

  setQuiet(kind: number, use: number): void {
    this.#quiet[kind] = use;
    this.#set(kind, this.#byKind[kind] as readonly Pass[]);
  }

  add(kind: EventKind, pass: Pass): void {
    const passes = this.#byKind[kind] as readonly Pass[];
    if (!passes.includes(pass)) this.#set(kind, [...passes, pass]);
  }

  remove(kind: EventKind, pass: Pass): void {
    this.#set(
      kind,
      (this.#byKind[kind] as readonly Pass[]).filter((other) => other !== pass),
    );
  }

  #set(kind: number, passes: readonly Pass[]): void {
    this.#byKind[kind] = passes;
    this.uses[kind] = passes.length > 0 ? USE_RULES : (this.#quiet[kind] as number);
  }

  tell(kind: number, a: number, b: number, c: number, d: number): void {
    for (const pass of this.#byKind[kind] as readonly Pass[]) pass.on(kind, a, b, c, d);
  }
}

export class Listeners {
  readonly #main = new Place();
  readonly #elsewhere = new Place();
  /** What is done with events of each kind, in main and elsewhere. */
  readonly usesInMain = this.#main.uses;
  readonly usesElsewhere = this.#elsewhere.uses;

  /** What is done with events of `kind` while no rule listens. */
  setQuiet(kind: number, use: number): void {
    this.#main.setQuiet(kind, use);
    this.#elsewhere.setQuiet(kind, use);
  }

  /** From the next event on, `pass` is given events of `kind`. */
  add(kind: EventKind, pass: Pass, where: Where = "everywhere"): void {
    this.#main.add(kind, pass);
    if (where === "everywhere") this.#elsewhere.add(kind, pass);
  }

  /** From the next event on, it is not. */
  remove(kind: EventKind, pass: Pass): void {
    this.#main.remove(kind, pass);
    this.#elsewhere.remove(kind, pass);
  }

  /** Tells the rules that ask for events of this kind in `ctx`. */
  tell(ctx: number, kind: number, a: number, b: number, c: number, d: number): void {
    (ctx === 0 ? this.#main : this.#elsewhere).tell(kind, a, b, c, d);
  }
}
