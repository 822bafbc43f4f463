// Drained sections: from drained_begin to drained_end, whose levels they hold, and who opened them.

import { refuseMore } from "../bounds.ts";
import { SECTIONS_OPEN_MAX } from "../limits.ts";
import { IdMap } from "../order/id-map.ts";
import { type Knowledge, type Mark, NEVER } from "../order/knowledge.ts";
import type { Holdable } from "./graph.ts";

/** One drained_begin with its drained_end. */
export class Section {
  readonly id: number;
  /** Node (or BlockBackend) that it was begun on, null for a drain of everything; kind of drain, and site of drained_begin. */
  node: Holdable | null = null;
  kind = 0;
  site = 0;
  /** Event of drained_begin; -1 when the trace began later. */
  begin = -1;
  /** Context and activity that began it, and the run of the outermost operation there (0: none). */
  ctx = -1;
  activity = 0;
  outermost = 0;
  /** Event of its latest drain_poll_end; NEVER while its requests may still be in flight. */
  pollEnd = NEVER;
  /** Event of the first one: a section polls again for what is attached to its subtree. */
  firstPollEnd = NEVER;
  /** Who saw that: context and task. Whatever that actor does next is inside the section. */
  pollCtx = -1;
  pollTask = 0;
  /** What that actor knew then; null for main, which knows what it had acquired. */
  pollKnowledge: Knowledge | null = null;
  /** Event of drained_end; NEVER while open. */
  end = NEVER;
  /** For an end off the main context: what its task released since. */
  endMark: Mark | null = null;
  /** Levels of quiesce counters that it holds. */
  levels = 0;
  /** drain_begun was seen: drained_begin has returned. */
  begun = false;

  constructor(id: number) {
    this.id = id;
  }

  /**
   * Whether what `task` of `ctx` does now is between this section's poll end and its end. A section is main's, or that of the
   * task that saw its poll phase end elsewhere; nobody else is inside it.
   */
  isInside(ctx: number, task: number): boolean {
    if (this.pollEnd === NEVER || this.end !== NEVER) return false;
    if (ctx === 0 || this.pollCtx === 0) return ctx === this.pollCtx;
    return task !== 0 && this.pollTask === task;
  }
}

/** Sections that are open, or still hold something. */
export class Sections {
  readonly #byId = new IdMap<Section>("drained sections at a time");
  /** Open ones, oldest first. */
  readonly open: Section[] = [];

  get(id: number): Section {
    let section = this.#byId.get(id);
    if (section === undefined) {
      section = new Section(id);
      this.#byId.set(id, section);
    }
    return section;
  }

  /** drained_begin of section `id` was entered. */
  begin(id: number): Section {
    const section = this.get(id);
    if (this.open.length >= SECTIONS_OPEN_MAX)
      refuseMore(SECTIONS_OPEN_MAX, "drained sections open at a time");
    this.open.push(section);
    return section;
  }

  /** drained_end of `section` was entered: it protects nothing from here on. */
  end(section: Section): void {
    const at = this.open.indexOf(section);
    if (at >= 0) this.open.splice(at, 1);
  }

  /** drained_end of `section` returned: forget it unless it left something behind. */
  forget(section: Section): void {
    if (section.levels === 0) this.#byId.delete(section.id);
  }

  /** Sections whose poll phase `task` of `ctx` saw end, and that are open; main is one actor, a loose event none. */
  openOf(ctx: number, task: number): Section[] {
    return this.open.filter((section) => section.isInside(ctx, task));
  }
}
