// What a set of events needs of critical sections, so that it can be run: the two closures.
//
// Both begin with what the two accesses need (Window.addBefore) and add releases, with all that they need, until nothing is
// missing. *Sync-preserving*: sections of a lock keep their order, so only the last of them may be left open, and everything else
// is closed. *Optimistic*: sections may change their order, so each is closed whose release can be had without either of the
// two accesses; what stays open comes last, and only one section of a lock can. A cut holds the first events of each
// thread, so in each lane only the newest section inside of it can be open.

import { type Lane, NONE, type Section, type Window } from "./window.ts";

/** A cut that grows, with the newest section of each lane inside of it. */
export class Closure {
  readonly cut: Int32Array;
  /** Steps done so far, for the budget. */
  work = 0;
  readonly #window: Window;
  /** By lock, then lane: how many of its sections lie in the cut. */
  readonly #inside: Int32Array[];

  constructor(window: Window) {
    this.#window = window;
    this.cut = new Int32Array(window.threadCount);
    this.#inside = window.lanes.map((lanes) => new Int32Array(lanes.length));
  }

  /** Empties the set. */
  reset(): void {
    this.cut.fill(0);
    for (const inside of this.#inside) inside.fill(0);
  }

  /** Adds what has to happen before `event` can be its thread's next one. */
  addBefore(event: number): void {
    this.#window.addBefore(this.cut, event);
  }

  contains(event: number): boolean {
    return this.#window.contains(this.cut, event);
  }

  /** Closes every section but the last of its lock, until nothing changes. */
  closeKeepingOrder(): void {
    for (let changed = true; changed; ) {
      changed = false;
      this.#window.lanes.forEach((lanes, index) => {
        const newest = lanes.map((lane, at) => this.#newest(lane, index, at));
        const last = newest.reduce((a, b) => (isLater(b, a) ? b : a), null);
        for (const section of newest)
          if (section !== null && section !== last && this.#close(section)) changed = true;
      });
    }
  }

  /** Closes every section whose release needs neither `first` nor `second`, until nothing changes. */
  closeOptimistically(first: number, second: number): void {
    const window = this.#window;
    for (let changed = true; changed; ) {
      changed = false;
      window.lanes.forEach((lanes, index) => {
        lanes.forEach((lane, at) => {
          const section = this.#newest(lane, index, at);
          if (section === null || section.release === NONE) return;
          const { release } = section;
          if (window.needs(release, first) || window.needs(release, second)) return;
          if (this.#close(section)) changed = true;
        });
      });
    }
  }

  /** By lock the sections in the cut, newest of each lane: those that are open, and the last that is closed. */
  ends(): { readonly open: readonly Section[]; readonly lastClosed: Section | null }[] {
    return this.#window.lanes.map((lanes, index) => {
      const open: Section[] = [];
      let lastClosed: Section | null = null;
      lanes.forEach((lane, at) => {
        const newest = this.#newest(lane, index, at);
        if (newest === null) return;
        const isOpen = newest.release === NONE || !this.contains(newest.release);
        if (isOpen) open.push(newest);
        const count = this.#inside[index]?.[at] ?? 0;
        const closed = isOpen ? (lane.sections[count - 2] ?? null) : newest;
        if (isLater(closed, lastClosed)) lastClosed = closed;
      });
      return { open, lastClosed };
    });
  }

  /** The newest section of `lane` that the cut contains; null for none. */
  #newest(lane: Lane, index: number, at: number): Section | null {
    const inside = this.#inside[index] ?? new Int32Array(0);
    const { sections } = lane;
    const reach = this.cut[lane.thread] ?? 0;
    let count = inside[at] ?? 0;
    this.work++;
    for (
      let next = sections[count];
      next !== undefined && next.place <= reach;
      next = sections[++count]
    )
      this.work++;
    inside[at] = count;
    return sections[count - 1] ?? null;
  }

  /** Whether the release of `section` was missing and could be added. */
  #close(section: Section): boolean {
    if (section.release === NONE || this.contains(section.release)) return false;
    this.#window.addEvent(this.cut, section.release);
    this.work += this.#window.threadCount;
    return true;
  }
}

function isLater(section: Section | null, than: Section | null): boolean {
  return section !== null && (than === null || section.acquire > than.acquire);
}
