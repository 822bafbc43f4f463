// A poll where there must be none. The types of core/ forbid it; traces of other programs, and mutants, have it all the same.
//
//   - in a coroutine: the loop that runs nested may enter this very coroutine, or wait for it;
//   - in a callback that undoes a transaction: what runs meanwhile sees half of the graph as it was and half as it is to be;
//   - between two levels of one drain: drained_begin stops everybody first and polls once, at its end, and so does drained_end.
//     Who polls in between lets requests run that are half stopped, and the list of parents change that is being walked.
//
// A poll is a nested aio_poll, or a wait that finds its condition true and has to poll.

import { Ev, Phase } from "#core/probe";
import type { Names } from "../names.ts";
import type { Pass, PassContext } from "./pass.ts";

/** A drained_begin (up) or drained_end that a call stack is in. */
interface Levels {
  readonly section: number;
  readonly up: boolean;
  /** Event of a poll since the level before; -1 for none. */
  polled: number;
  pollSite: number;
  /** It has waited: what it raises from now on is for nodes that were attached meanwhile. */
  waited: boolean;
  /** Its place among those of its call stack that have seen no poll; -1 for none. */
  unpolledAt: number;
}

/** What a call stack is in. A trace may have very many that nothing ends, so none of them is looked for. */
class Drains {
  /** By section, the innermost last. */
  readonly #bySection = new Map<number, Levels[]>();
  /** Those that have seen no poll since the level before, in no order. */
  readonly #unpolled: Levels[] = [];

  get isEmpty(): boolean {
    return this.#bySection.size === 0;
  }

  /** The drained_begin and drained_end of `section` that it is in. */
  of(section: number): readonly Levels[] {
    return this.#bySection.get(section) ?? [];
  }

  enter(section: number, up: boolean): void {
    const levels = { section, up, polled: -1, pollSite: 0, waited: false, unpolledAt: -1 };
    push(this.#bySection, section, levels);
    this.startLevel(levels);
  }

  /** The innermost one of `section` is over. */
  leave(section: number): void {
    const levels = this.#bySection.get(section)?.at(-1);
    if (levels === undefined) return;
    pop(this.#bySection, section);
    if (levels.unpolledAt >= 0) this.#forget(levels);
  }

  /** From now on another poll counts. */
  startLevel(levels: Levels): void {
    levels.polled = -1;
    levels.unpolledAt = this.#unpolled.push(levels) - 1;
  }

  #forget({ unpolledAt }: Levels): void {
    const last = this.#unpolled.pop() as Levels;
    if (unpolledAt === this.#unpolled.length) return;
    this.#unpolled[unpolledAt] = last;
    last.unpolledAt = unpolledAt;
  }

  /** The call stack polls, at `index`. */
  poll(index: number, site: number): void {
    for (const levels of this.#unpolled) {
      levels.polled = index;
      levels.pollSite = site;
      levels.unpolledAt = -1;
    }
    this.#unpolled.length = 0;
  }
}

type Place = "coroutine" | "abort" | "begin" | "end";

export class PollNotAllowed implements Pass {
  readonly kinds = [
    Ev.poll_begin,
    Ev.wait_begin,
    Ev.wait_check,
    Ev.wait_end,
    Ev.drain_begin,
    Ev.drain_poll_end,
    Ev.drain_begun,
    Ev.drain_end,
    Ev.drain_ended,
    Ev.bs_quiesce,
    Ev.bs_unquiesce,
    Ev.blk_quiesce,
    Ev.blk_unquiesce,
    Ev.job_pause,
    Ev.job_resume,
  ] as const;
  readonly #context: PassContext;
  /** Sites of the waits that an activity is in, and whether the innermost is about to poll. */
  readonly #waits = new Map<number, number[]>();
  readonly #aboutToPoll = new Set<number>();
  readonly #drainsOf = new Map<number, Drains>();

  constructor(context: PassContext) {
    this.#context = context;
  }

  on(kind: number, a: number, b: number, c: number): void {
    const { now, operations } = this.#context;
    const activity = operations.activity(now.ctx);
    switch (kind) {
      case Ev.wait_begin:
        push(this.#waits, activity, c);
        break;
      case Ev.wait_end:
        pop(this.#waits, activity);
        this.#aboutToPoll.delete(activity);
        break;
      case Ev.wait_check:
        this.#aboutToPoll.delete(activity);
        if (b === 0) break;
        this.#polls(activity);
        this.#aboutToPoll.add(activity);
        break;
      case Ev.poll_begin:
        // The poll of a wait whose check has been judged.
        if (!this.#aboutToPoll.delete(activity)) this.#polls(activity);
        break;
      default:
        this.#drains(kind, activity, a, c);
    }
  }

  finish(): void {}

  #drains(kind: number, activity: number, a: number, c: number): void {
    switch (kind) {
      case Ev.drain_begin:
      case Ev.drain_end: {
        let drains = this.#drainsOf.get(activity);
        if (drains === undefined) {
          drains = new Drains();
          this.#drainsOf.set(activity, drains);
        }
        drains.enter(a, kind === Ev.drain_begin);
        break;
      }
      case Ev.drain_poll_end: {
        const levels = this.#drainsOf
          .get(activity)
          ?.of(a)
          .find(({ up }) => up);
        if (levels !== undefined) levels.waited = true;
        break;
      }
      case Ev.drain_begun:
      case Ev.drain_ended:
        this.#leave(activity, a);
        break;
      default:
        this.#level(activity, c, isRaise(kind));
    }
  }

  #leave(activity: number, section: number): void {
    const drains = this.#drainsOf.get(activity);
    drains?.leave(section);
    if (drains?.isEmpty === true) this.#drainsOf.delete(activity);
  }

  /** A level of `section` goes up or down. */
  #level(activity: number, section: number, up: boolean): void {
    const drains = this.#drainsOf.get(activity);
    const levels = drains?.of(section).findLast((one) => one.up === up);
    if (drains === undefined || levels === undefined || levels.waited || levels.polled < 0) return;
    this.#note(up ? "begin" : "end", levels.polled, levels.pollSite, levels.section);
    drains.startLevel(levels);
  }

  /** `activity` polls. */
  #polls(activity: number): void {
    const { now, operations } = this.#context;
    const site = this.#waits.get(activity)?.at(-1) ?? 0;
    this.#drainsOf.get(activity)?.poll(now.index, site);
    if (activity < 0) this.#note("coroutine", now.index, site, 0);
    const frames = operations.framesOf(operations.chain(now.ctx));
    if (frames.some(({ phase }) => phase === Phase.abort)) this.#note("abort", now.index, site, 0);
  }

  #note(place: Place, index: number, site: number, section: number): void {
    const { drafts, now, operations, sections } = this.#context;
    const chain = operations.chain(now.ctx);
    const from = section === 0 ? 0 : sections.get(section).site;
    drafts.tell("poll-not-allowed", `${place} ${site} ${chain} ${from}`, index, {
      why: { code: "told", told: new Story(place, site, chain, from) },
      node: section === 0 ? null : sections.get(section).node,
      site: site === 0 ? from : site,
    });
  }
}

function isRaise(kind: number): boolean {
  return kind === Ev.bs_quiesce || kind === Ev.blk_quiesce || kind === Ev.job_pause;
}

function push<T>(stacks: Map<number, T[]>, activity: number, value: T): void {
  const stack = stacks.get(activity);
  if (stack === undefined) stacks.set(activity, [value]);
  else stack.push(value);
}

function pop<T>(stacks: Map<number, T[]>, activity: number): void {
  const stack = stacks.get(activity);
  stack?.pop();
  if (stack?.length === 0) stacks.delete(activity);
}

const WHY: Readonly<Record<Place, string>> = {
  coroutine:
    "A coroutine yields; it does not poll: the loop that would run here may enter it again, or wait for it.",
  abort:
    "A transaction that is undone must not be interrupted: what runs in the poll sees half of the graph as it was and half as it was to be.",
  begin:
    "A drained section first stops everybody and polls once, afterwards: what runs in a poll before that is half stopped, and may change the parents that are being walked.",
  end: "The end of a drained section lets everybody go and polls, if at all, once, afterwards: what runs in a poll before that may change the parents that are being walked.",
};

class Story {
  readonly #place: Place;
  readonly #site: number;
  readonly #chain: number;
  readonly #section: number;

  constructor(place: Place, site: number, chain: number, section: number) {
    this.#place = place;
    this.#site = site;
    this.#chain = chain;
    this.#section = section;
  }

  title(names: Names): string {
    const who = names.site(this.#site).name || "Code that runs an event loop";
    return `${who} polls ${this.#where(names)}.`;
  }

  why(): string {
    return WHY[this.#place];
  }

  identity(names: Names): readonly string[] {
    return [names.site(this.#site).name, this.#where(names)];
  }

  #where(names: Names): string {
    if (this.#place === "coroutine") return "in a coroutine";
    if (this.#place === "abort") {
      const frame = names.operations(this.#chain).find(({ phase }) => phase === "abort");
      return `while ${frame?.name ?? "a transaction"} undoes its action`;
    }
    const by = names.site(this.#section).name;
    return `in the middle of drained_${this.#place} by ${by}`;
  }
}
