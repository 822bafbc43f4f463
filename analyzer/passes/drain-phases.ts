// Whether a call stack is inside of drained_begin or drained_end. What a drain reads there to find whom to stop, and whom it
// waits for, it reads again after every poll, and each edge keeps its own count: edits meanwhile do not surprise it.

import { Ev } from "#core/probe";
import type { Pass, PassContext } from "./pass.ts";

export class DrainPhases implements Pass {
  readonly kinds = [Ev.drain_begin, Ev.drain_begun, Ev.drain_end, Ev.drain_ended] as const;
  readonly #context: PassContext;
  /** Calls of drained_begin and drained_end under way, by activity; and whose each section's call is. */
  readonly #depth = new Map<number, number>();
  readonly #caller = new Map<number, number>();

  constructor(context: PassContext) {
    this.#context = context;
  }

  on(kind: number, section: number): void {
    if (kind === Ev.drain_begin || kind === Ev.drain_end) {
      const activity = this.#context.operations.activity(this.#context.now.ctx);
      this.#leave(section);
      this.#caller.set(section, activity);
      this.#depth.set(activity, (this.#depth.get(activity) ?? 0) + 1);
    } else this.#leave(section);
  }

  finish(): void {}

  /** Whether `activity` is inside of one. */
  isInside(activity: number): boolean {
    return this.#depth.size > 0 && this.#depth.has(activity);
  }

  #leave(section: number): void {
    const activity = this.#caller.get(section);
    if (activity === undefined) return;
    this.#caller.delete(section);
    const depth = (this.#depth.get(activity) ?? 0) - 1;
    if (depth > 0) this.#depth.set(activity, depth);
    else this.#depth.delete(activity);
  }
}
