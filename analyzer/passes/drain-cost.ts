// What each drain cost, and whether it was needed: by the site that began it.
//
//   begin ── quiesce b1 ── request at b1 is queued ── poll: counter 1, then 0 ── edit ── end ── unquiesce b1
//            └──────────────────────── b1 is stopped: counted in events, and by the clock ───────────────┘
//
// A section *stops* each BlockBackend and job that it quiesces, from the first level to the last; two sections that overlap are
// both charged, since either alone would have stopped it. Events are exact. Time is that of the core's own clock readings, which are
// sparse, so it has two bounds, and what passes between sections is charged to none of them for certain:
//
//   reading r1 ── stop ── reading r2 ── ... ── reading r3 ── go on ── reading r4        at least r3 - r2, at most r4 - r1
//
// A section was *needless* when it made nothing quiet and guarded
// nothing: no condition of it read a counter above zero or a busy job, no request and no job had to wait for it, and nothing in
// main edited the graph or moved something to another context while it was open. In another run it may be needed; so it is a note,
// only where every section of a site was needless, and only when drains are asked for.

import { Ev, Owner } from "#core/probe";
import type { DrainRow } from "../findings.ts";
import type { Holdable } from "../model/graph.ts";
import type { Section } from "../model/sections.ts";
import type { Names } from "../names.ts";
import type { Pass, PassContext } from "./pass.ts";

/** The time between two readings of the clock that follow one another; `until` is null before the second. */
interface Gap {
  readonly from: number;
  until: number | null;
}

/** Since when something is stopped, and by how many levels. */
interface Stop {
  readonly index: number;
  readonly gap: Gap;
  levels: number;
}

/** A section that is open, or still holds something. */
interface OpenDrain {
  readonly section: Section;
  /** What it stops: "b1" or "j1" to when it was stopped. */
  readonly stopped: Map<string, Stop>;
  needed: boolean;
  isOver: boolean;
}

/** The sum for a site. */
interface SiteCost {
  readonly section: Section;
  count: number;
  needless: number;
  busy: number;
  edits: number;
  stopped: number;
  stoppedEvents: number;
  stoppedNs: number;
  stoppedNsMax: number | null;
  requestsWaited: number;
  jobsPaused: number;
  readonly first: number;
  last: number;
}

export class DrainCost implements Pass {
  readonly kinds = [
    Ev.clock_read,
    Ev.drain_begin,
    Ev.drain_end,
    Ev.bs_in_flight_read,
    Ev.blk_in_flight_read,
    Ev.job_busy_read,
    Ev.blk_quiesce,
    Ev.blk_unquiesce,
    Ev.job_pause,
    Ev.job_resume,
    Ev.blk_free,
    Ev.job_free,
    Ev.quiesce_transfer,
    Ev.req_queued,
    Ev.job_gate_read,
    Ev.list_insert,
    Ev.list_remove,
    Ev.list_set,
    Ev.bs_ctx,
    Ev.blk_ctx,
  ] as const;
  readonly #context: PassContext;
  readonly #open = new Map<number, OpenDrain>();
  readonly #sites = new Map<number, SiteCost>();
  /** The clock begins at 0 with the run. */
  #gap: Gap = { from: 0, until: null };
  /** What went on since the clock was read last. */
  readonly #wentOn = new Map<SiteCost, number>();

  constructor(context: PassContext) {
    this.#context = context;
  }

  on(kind: number, a: number, b: number, c: number, d: number): void {
    const { now, graph } = this.#context;
    switch (kind) {
      case Ev.clock_read:
        this.#read(now.wide);
        break;
      case Ev.drain_begin:
        this.#begins(a);
        break;
      case Ev.drain_end:
        this.#ends(a);
        break;
      case Ev.bs_in_flight_read:
      case Ev.blk_in_flight_read:
      case Ev.job_busy_read:
        if (b !== 0) this.#busy(c);
        break;
      case Ev.blk_quiesce:
        this.#stop(c, `b${a}`);
        break;
      case Ev.blk_unquiesce:
        this.#goOn(c, `b${a}`);
        break;
      case Ev.job_pause:
        this.#stop(c, `j${a}`);
        break;
      case Ev.job_resume:
        this.#goOn(c, `j${a}`);
        break;
      case Ev.blk_free:
        this.#gone(`b${a}`);
        break;
      case Ev.job_free:
        this.#gone(`j${a}`);
        break;
      case Ev.quiesce_transfer:
        this.#transfer(a, b, c, d);
        break;
      case Ev.req_queued:
        this.#waits(graph.blk(a), "requestsWaited");
        break;
      case Ev.job_gate_read:
        if (b !== 0) this.#waits(graph.job(a), "jobsPaused");
        break;
      default:
        if (now.ctx === 0) this.#edited();
    }
  }

  #read(ns: number): void {
    for (const [cost, count] of this.#wentOn) addMax(cost, count * (ns - this.#gap.from));
    this.#wentOn.clear();
    this.#gap.until = ns;
    this.#gap = { from: ns, until: null };
  }

  #begins(id: number): void {
    const { now, sections } = this.#context;
    const section = sections.get(id);
    this.#open.set(id, { section, stopped: new Map(), needed: false, isOver: false });
    let cost = this.#sites.get(section.site);
    if (cost === undefined) {
      cost = {
        section,
        count: 0,
        needless: 0,
        busy: 0,
        edits: 0,
        stopped: 0,
        stoppedEvents: 0,
        stoppedNs: 0,
        stoppedNsMax: 0,
        requestsWaited: 0,
        jobsPaused: 0,
        first: now.index,
        last: now.index,
      };
      this.#sites.set(section.site, cost);
    }
    cost.count++;
    cost.last = now.index;
  }

  /** The section guards nothing from here on; what it has stopped goes on when its levels are lowered. */
  #ends(id: number): void {
    const drain = this.#open.get(id);
    if (drain === undefined) return;
    drain.isOver = true;
    this.#forget(id, drain);
  }

  #forget(id: number, drain: OpenDrain): void {
    if (!drain.isOver || drain.stopped.size > 0) return;
    this.#open.delete(id);
    if (!drain.needed) this.#cost(drain).needless++;
  }

  #cost({ section }: OpenDrain): SiteCost {
    return this.#sites.get(section.site) as SiteCost;
  }

  #busy(id: number): void {
    const drain = this.#open.get(id);
    if (drain === undefined) return;
    drain.needed = true;
    this.#cost(drain).busy++;
  }

  #stop(id: number, what: string): void {
    const drain = this.#open.get(id);
    if (drain === undefined) return;
    const entry = drain.stopped.get(what);
    if (entry !== undefined) entry.levels++;
    else {
      drain.stopped.set(what, { index: this.#context.now.index, gap: this.#gap, levels: 1 });
      this.#cost(drain).stopped++;
    }
  }

  #goOn(id: number, what: string): void {
    const drain = this.#open.get(id);
    const entry = drain?.stopped.get(what);
    if (drain === undefined || entry === undefined) return;
    entry.levels--;
    if (entry.levels === 0) this.#release(id, drain, what, entry);
  }

  /** What has been freed is stopped no longer. */
  #gone(what: string): void {
    for (const [id, drain] of this.#open) {
      const entry = drain.stopped.get(what);
      if (entry !== undefined) this.#release(id, drain, what, entry);
    }
  }

  #release(id: number, drain: OpenDrain, what: string, entry: Stop): void {
    drain.stopped.delete(what);
    const cost = this.#cost(drain);
    cost.stoppedEvents += this.#context.now.index - entry.index;
    const { from, until } = entry.gap;
    if (until !== null) cost.stoppedNs += this.#gap.from - until;
    addMax(cost, this.#gap.from - from);
    this.#wentOn.set(cost, (this.#wentOn.get(cost) ?? 0) + 1);
    this.#forget(id, drain);
  }

  #transfer(kind: number, id: number, from: number, to: number): void {
    if (kind === Owner.node) return;
    const what = `${kind === Owner.blk ? "b" : "j"}${id}`;
    this.#stop(to, what);
    this.#goOn(from, what);
  }

  /** Somebody has to wait because `object` is held. */
  #waits(object: Holdable, what: "requestsWaited" | "jobsPaused"): void {
    for (const { section } of object.holds) {
      const drain = this.#open.get(section.id);
      if (drain === undefined) continue;
      drain.needed = true;
      this.#cost(drain)[what]++;
    }
  }

  #edited(): void {
    for (const drain of this.#open.values()) {
      if (drain.isOver) continue;
      drain.needed = true;
      this.#cost(drain).edits++;
    }
  }

  finish(): void {
    for (const cost of this.#wentOn.keys()) cost.stoppedNsMax = null;
    const { drafts } = this.#context;
    for (const { section, count, needless, first, last } of this.#sites.values()) {
      if (needless < count) continue;
      const draft = drafts.note(`needless-drain ${section.site}`, first, count, () => ({
        rule: "needless-drain",
        list: 0,
        owner: 0,
        node: section.node,
        edge: null,
        accesses: [],
        site: section.site,
        why: {
          code: "told",
          told: {
            title: (names) => `${names.site(section.site).name} drains for nothing.`,
            why: () =>
              "No counter was above zero, no request or job had to wait, and nothing was edited or moved inside.",
            identity: (names) => [names.site(section.site).name],
          },
        },
        advice: null,
        luck: null,
      }));
      draft.last = last;
    }
  }

  /** The table, dearest site first. */
  rows(names: Names): DrainRow[] {
    return [...this.#sites.values()]
      .map(({ section, first: _first, last: _last, ...sums }) => ({
        site: names.site(section.site),
        kind: names.section({ section, state: "drained" }).kind,
        ...sums,
      }))
      .sort(
        (a, b) =>
          b.stoppedNs - a.stoppedNs ||
          b.stoppedEvents - a.stoppedEvents ||
          b.count - a.count ||
          (a.site.name < b.site.name ? -1 : 1),
      );
  }
}

function addMax(cost: SiteCost, ns: number): void {
  if (cost.stoppedNsMax !== null) cost.stoppedNsMax += ns;
}
