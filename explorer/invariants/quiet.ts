// Who sends requests where it is quiet: a drained section that has waited for a node has made it quiet until it ends.
//
// From the end of its poll phase on no request may be in flight there, unless the drainer sends it himself: thread-level code
// of the context that drains, which waits for its request on the spot (bdrv_flush in a drained section). Two things raise a
// node's counter and are no requests: the driver's drain hooks, and a coroutine that hands a drain of that node to thread
// level (bdrv_co_yield_to_drain). A level that an edge brings along counts from the end of the wait of that edge; one whose
// wait leaves no event (bdrv_parent_drained_begin_single) counts from the end of the next wait of its section.

import { Drain, Ev } from "#core/probe";

/** A drained section as its events tell it. */
export interface QuietSection {
  readonly id: number;
  /** 0 for a drain of everything. */
  readonly node: number;
  readonly kind: number;
  /** The context that drains. */
  readonly ctx: number;
  /** Nodes that it holds a level of, with how many. */
  readonly levels: Map<number, number>;
  /** Those of them that it has waited for. */
  readonly quiet: Set<number>;
}

export class Quiet {
  readonly sections = new Map<number, QuietSection>();
  /** What is wrong, in words. */
  readonly intruders: string[] = [];
  readonly #inFlight: ReadonlyMap<number, number>;
  /** Coroutines that thread-level code waits for, with its context, and the tasks that they run for. */
  readonly #wrappers = new Map<number, number>();
  readonly #wrapperTasks = new Map<number, number>();
  /** Coroutines that have run: a hook's is counted in flight before it does. */
  readonly #entered = new Set<number>();
  readonly #hookTasks = new Set<number>();
  /** The node that a task is about to drain, or whose drain it is about to end. */
  readonly #handOffs = new Map<number, number>();

  /** `inFlight` has the requests in flight at each node. */
  constructor(inFlight: ReadonlyMap<number, number>) {
    this.#inFlight = inFlight;
  }

  begin(id: number, node: number, kind: number, ctx: number, task: number): void {
    if (task !== 0) this.#handOffs.set(task, node);
    this.sections.set(id, { id, node, kind, ctx, levels: new Map(), quiet: new Set() });
  }

  end(id: number, task: number): void {
    const node = this.sections.get(id)?.node;
    if (task !== 0 && node !== undefined) this.#handOffs.set(task, node);
    this.sections.delete(id);
  }

  /** A level of `node` is one of section `id` (`by` 1), or is not any more (-1). */
  level(id: number, node: number, by: number): void {
    const section = this.sections.get(id);
    if (section === undefined) return;
    const left = (section.levels.get(node) ?? 0) + by;
    if (left > 0) section.levels.set(node, left);
    else section.levels.delete(node);
    if (left <= 0) section.quiet.delete(node);
  }

  /** The wait of section `id` is over. */
  pollEnded(id: number): void {
    const section = this.sections.get(id);
    if (section === undefined) return;
    for (const node of section.levels.keys()) {
      if (section.quiet.has(node)) continue;
      section.quiet.add(node);
      const inFlight = this.#inFlight.get(node) ?? 0;
      if (inFlight > 0)
        this.intruders.push(
          `section ${id} has finished waiting, and node ${node} has ${inFlight} requests in flight`,
        );
    }
  }

  /** What tells which tasks are a drainer's own. */
  noteTask(kind: number, ctx: number, a: number, b: number): void {
    switch (kind) {
      case Ev.wrapper_begin:
        this.#wrappers.set(a, ctx);
        break;
      case Ev.wrapper_end:
        this.#wrappers.delete(a);
        break;
      case Ev.co_enter:
        this.#entered.add(a);
        break;
      case Ev.co_terminate:
        this.#entered.delete(a);
        break;
      case Ev.task_begin:
        this.#taskBegins(a, b);
        break;
      case Ev.task_end:
        this.#wrapperTasks.delete(a);
        this.#hookTasks.delete(a);
        this.#handOffs.delete(a);
        break;
    }
  }

  #taskBegins(task: number, co: number): void {
    const drainer = this.#wrappers.get(co);
    if (drainer !== undefined) this.#wrapperTasks.set(task, drainer);
    if (!this.#entered.has(co)) this.#hookTasks.add(task);
  }

  /** `task` starts a request at `node`. */
  raised(task: number, node: number): void {
    if (task === 0 || this.#hookTasks.has(task) || this.#handsOff(task, node)) return;
    const drainer = this.#wrapperTasks.get(task);
    for (const section of this.sections.values()) {
      if (!section.quiet.has(node) || section.ctx === drainer) continue;
      this.intruders.push(
        `task ${task} starts a request at node ${node}, which section ${section.id} has made quiet`,
      );
    }
  }

  #handsOff(task: number, node: number): boolean {
    const handsOff = this.#handOffs.get(task) === node;
    this.#handOffs.delete(task);
    return handsOff;
  }

  /** The levels that open drains put on a node by themselves: single and subtree ones of its own, and those of everything. */
  ownLevels(node: number): { single: number; subtree: number; all: number } {
    const levels = { single: 0, subtree: 0, all: 0 };
    for (const section of this.sections.values()) {
      if (section.kind === Drain.all) levels.all++;
      else if (section.node !== node) continue;
      else if (section.kind === Drain.subtree) levels.subtree++;
      else levels.single++;
    }
    return levels;
  }
}
