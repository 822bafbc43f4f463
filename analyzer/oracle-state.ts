// What the brute-force oracles know of a moment: who holds levels of whom, who belongs to whom, and what nobody but its creator
// can have seen. One entry an event, of the state before it; shares nothing with model/.

import { Ev, Klass, List, Owner } from "#core/probe";
import { type Event, isEdit, isRead, remembered } from "./oracle-kinds.ts";
import { Reachability } from "./oracle-reach.ts";

/** Levels of quiesce counters: "n1 s2" to how many levels section 2 holds of node 1. */
export type Levels = ReadonlyMap<string, number>;

const RAISES = new Map<number, string>([
  [Ev.bs_quiesce, "n"],
  [Ev.blk_quiesce, "b"],
  [Ev.job_pause, "j"],
]);
const LOWERS = new Map<number, string>([
  [Ev.bs_unquiesce, "n"],
  [Ev.blk_unquiesce, "b"],
  [Ev.job_resume, "j"],
]);

const FREES = new Map<number, string>([
  [Ev.bs_free, "n"],
  [Ev.blk_free, "b"],
  [Ev.edge_free, "e"],
  [Ev.job_free, "j"],
]);

/** The levels before each event, and after the last one. */
export const levelsBefore = remembered((events): readonly Levels[] => {
  const held = new Map<string, number>();
  const add = (object: string, section: number, by: number): void => {
    const key = `${object} ${section}`;
    held.set(key, (held.get(key) ?? 0) + by);
  };
  const levels: Levels[] = [new Map()];
  for (const { kind, args } of events) {
    const [a, b, c, d] = args;
    const up = RAISES.get(kind);
    const down = LOWERS.get(kind);
    if (up !== undefined && c !== 0) add(`${up}${a}`, c, 1);
    if (down !== undefined) add(`${down}${a}`, c, -1);
    if (kind === Ev.quiesce_transfer) {
      const object = `${a === Owner.node ? "n" : a === Owner.blk ? "b" : "j"}${b}`;
      add(object, c, -1);
      add(object, d, 1);
    }
    const freed = FREES.get(kind);
    if (freed !== undefined)
      for (const key of held.keys()) if (key.startsWith(`${freed}${a} `)) held.delete(key);
    levels.push(new Map(held));
  }
  return levels;
});

/** Sections that hold levels of `object` ("n1"). */
export function holdersOf(levels: Levels, object: string): number[] {
  return [...levels].flatMap(([key, count]) => {
    const [owner, section] = key.split(" ");
    return count > 0 && owner === object ? [Number(section)] : [];
  });
}

/** What a list belongs to, as a word: n1, b1, or e1 for where an edge points. */
export function ownerWord(list: number, owner: number): string {
  return `${list === List.edge_bs ? "e" : list === List.blk_root ? "b" : "n"}${owner}`;
}

/** The parent that an `edge_new` event names, as a word. */
export function parentWord({ args }: Event): string {
  const [, klass, parent] = args;
  return `${klass === Klass.child_root ? "b" : klass === Klass.child_job ? "j" : "n"}${parent}`;
}

/**
 * What is private before each event, and after the last one: an object made by main, until another context touches it or can come
 * to it. Words as above. Of what has been freed nobody knows who saw it.
 */
export const hiddenBefore = remembered((events): readonly ReadonlySet<string>[] => {
  const reach = new Reachability();
  const hidden: ReadonlySet<string>[] = [new Set()];
  for (const event of events) {
    reveal(reach, event);
    hidden.push(new Set(reach.hidden));
  }
  return hidden;
});

function reveal(reach: Reachability, event: Event): void {
  const { kind, ctx, args } = event;
  const [a, b, c] = args;
  const foreign = ctx !== 0;
  const freed = FREES.get(kind);
  if (freed !== undefined) reach.hidden.delete(`${freed}${a}`);
  if (kind === Ev.bs_new && !foreign) reach.hidden.add(`n${a}`);
  if (kind === Ev.blk_new && !foreign) reach.hidden.add(`b${a}`);
  if (kind === Ev.edge_new) {
    reach.hidden.add(`e${a}`);
    reach.parent.set(`e${a}`, parentWord(event));
  }
  if (foreign && kind === Ev.bs_in_flight_inc) reach.show(`n${a}`);
  if (foreign && kind === Ev.blk_in_flight_inc) reach.show(`b${a}`);
  if (!isRead(kind) && !isEdit(kind)) return;
  const owner = ownerWord(a, b);
  if (foreign) reach.show(owner);
  if (isEdit(kind))
    reach.edited(a, owner, kind === Ev.list_set || kind === Ev.list_insert ? c : 0, c);
}
