// The graph as the trace tells it: names, who points at whom, who is held quiet by which section, and which objects nobody
// but their creator can have seen yet.
//
// An object is *private* from its creation in the main context until somebody could reach it: another context touches it, or
// an edge from an object that is not private leads to it. Edits of a private object's lists need no drain (design D9 asks
// for drains because of readers; there is none), and a reader that comes later got the object by a hand-over, which the full
// order must show. Objects that the trace did not see being made (a ring's tail) are never private.

import { Klass, List } from "#core/probe";
import { refuseMore } from "../bounds.ts";
import { EDGES_OF_A_LIST_MAX, OBJECTS_MAX, SECTIONS_OPEN_MAX } from "../limits.ts";
import { IdMap } from "../order/id-map.ts";
import { Channel } from "../order/knowledge.ts";
import { Gone } from "./gone.ts";
import type { Section } from "./sections.ts";

/** Levels of a quiesce counter that one section holds. */
export interface Hold {
  readonly section: Section;
  count: number;
  readonly since: number;
}

/** A hold that is over; the last few are kept for reports. */
export interface PastHold {
  readonly section: Section;
  readonly since: number;
  readonly until: number;
}

const PAST_MAX = 6;

/** What a drain can hold: a node, a BlockBackend, a job. */
export class Holdable {
  readonly kind: "node" | "blk" | "job";
  readonly id: number;
  /** Index of its name in the string table. */
  name = 0;
  isPrivate = false;
  freed = false;
  readonly holds: Hold[] = [];
  readonly past: PastHold[] = [];
  /** In-flight counter of a node or BlockBackend, `busy` of a job. */
  readonly counter: Channel;
  /** Quiesce counter of a BlockBackend, pause count of a job. */
  readonly gate: Channel;
  /** Edges to nodes below: of a node its children, of a BlockBackend its root. */
  readonly below: EdgeInfo[] = [];
  /** Edges from parents above. */
  readonly above: EdgeInfo[] = [];

  constructor(kind: "node" | "blk" | "job", id: number) {
    this.kind = kind;
    this.id = id;
    this.counter = new Channel(
      kind === "node" ? "node-counter" : kind === "blk" ? "blk-counter" : "job-idle",
      id,
    );
    this.gate = new Channel(kind === "job" ? "job-resume" : "gate", id);
  }

  /** How many levels `section` holds. */
  heldBy(section: number): number {
    for (const hold of this.holds) if (hold.section.id === section) return hold.count;
    return 0;
  }

  raise(section: Section, index: number): void {
    section.levels++;
    for (const hold of this.holds) {
      if (hold.section !== section) continue;
      hold.count++;
      return;
    }
    if (this.holds.length >= SECTIONS_OPEN_MAX)
      refuseMore(SECTIONS_OPEN_MAX, "drained sections that hold one node");
    this.holds.push({ section, count: 1, since: index });
  }

  /** Returns whether `section` held a level. */
  lower(section: Section, index: number): boolean {
    const at = this.holds.findIndex((hold) => hold.section === section);
    const hold = this.holds[at];
    if (hold === undefined) return false;
    section.levels--;
    hold.count--;
    if (hold.count > 0) return true;
    this.holds.splice(at, 1);
    this.past.push({ section, since: hold.since, until: index });
    if (this.past.length > PAST_MAX) this.past.shift();
    return true;
  }
}

/** An edge from a parent to a node. */
export class EdgeInfo {
  readonly id: number;
  name = 0;
  klass = 0;
  parent: Holdable | null = null;
  child: Holdable | null = null;
  isPrivate = false;

  constructor(id: number) {
    this.id = id;
  }
}

/** A name is kept when its object is gone, for reports; of very many the oldest are forgotten. */
export function remember<T>(names: Map<number, T>, id: number, name: T): void {
  names.delete(id);
  names.set(id, name);
  if (names.size <= OBJECTS_MAX) return;
  for (const oldest of names.keys()) {
    names.delete(oldest);
    break;
  }
}

export class Graph {
  readonly nodes = new IdMap<Holdable>("nodes at a time");
  readonly blks = new IdMap<Holdable>("BlockBackends at a time");
  readonly jobs = new IdMap<Holdable>("jobs at a time");
  readonly edges = new IdMap<EdgeInfo>("edges at a time");
  readonly gone = new Gone();
  /** Names of contexts, BlockBackends (those that are gone too) and locks, as indices into the string table. */
  readonly blkNames = new Map<number, number>();
  readonly ctxNames = new Map<number, number>();
  readonly lockNames = new Map<number, { readonly kind: number; readonly name: number }>();

  node(id: number): Holdable {
    return this.nodes.get(id) ?? this.#add(this.nodes, new Holdable("node", id));
  }

  blk(id: number): Holdable {
    return this.blks.get(id) ?? this.#add(this.blks, new Holdable("blk", id));
  }

  job(id: number): Holdable {
    return this.jobs.get(id) ?? this.#add(this.jobs, new Holdable("job", id));
  }

  edge(id: number): EdgeInfo {
    return this.edges.get(id) ?? this.#add(this.edges, new EdgeInfo(id));
  }

  #add<T extends { readonly id: number }>(table: IdMap<T>, value: T): T {
    table.set(value.id, value);
    return value;
  }

  /** An object was created in the main context. */
  born(object: Holdable, name: number): void {
    object.name = name;
    object.isPrivate = true;
    if (object.kind === "blk") remember(this.blkNames, object.id, name);
  }

  edgeBorn(edge: EdgeInfo, klass: number, parent: number, name: number): void {
    edge.klass = klass;
    edge.name = name;
    edge.parent =
      klass === Klass.child_root
        ? this.blk(parent)
        : klass === Klass.child_job
          ? this.job(parent)
          : this.node(parent);
    edge.isPrivate = true;
  }

  /** An edit of `list` changed who points at whom. `value`: the edge, or for edge_bs the node (0 none). */
  edited(list: number, owner: number, value: number, inserted: boolean): void {
    if (list === List.children) this.#link(this.node(owner).below, this.edge(value), inserted);
    else if (list === List.parents) this.#link(this.node(owner).above, this.edge(value), inserted);
    else if (list === List.edge_bs) this.edge(owner).child = value === 0 ? null : this.node(value);
    else if (list === List.blk_root) {
      const below = this.blk(owner).below;
      below.length = 0;
      if (value !== 0) below.push(this.edge(value));
    }
    this.#spread(list, owner);
  }

  /** What an edit made reachable is no longer private. */
  #spread(list: number, owner: number): void {
    if (list === List.edge_bs) {
      const edge = this.edge(owner);
      const isVisible = !edge.isPrivate || edge.parent?.isPrivate !== true;
      if (edge.child !== null && isVisible) this.publish(edge.child);
    } else if (list === List.children || list === List.blk_root) {
      const parent = list === List.children ? this.node(owner) : this.blk(owner);
      if (!parent.isPrivate) this.#publishBelow(parent);
    }
  }

  #link(edges: EdgeInfo[], edge: EdgeInfo, inserted: boolean): void {
    const at = edges.indexOf(edge);
    if (inserted && at < 0) {
      if (edges.length >= EDGES_OF_A_LIST_MAX) refuseMore(EDGES_OF_A_LIST_MAX, "edges in one list");
      edges.push(edge);
    } else if (!inserted && at >= 0) edges.splice(at, 1);
  }

  /** Others can reach `object` from now on, and all below it. */
  publish(object: Holdable): void {
    if (!object.isPrivate) return;
    object.isPrivate = false;
    this.#publishBelow(object);
  }

  #publishBelow(top: Holdable): void {
    // No recursion: a chain may be as long as a trace says.
    const published = [top];
    for (let object = published.pop(); object !== undefined; object = published.pop()) {
      for (const edge of object.below) {
        edge.isPrivate = false;
        if (edge.child?.isPrivate !== true) continue;
        edge.child.isPrivate = false;
        published.push(edge.child);
      }
    }
  }

  /** Another context touches the owner of `list`. */
  publishOwner(list: number, owner: number): void {
    if (list === List.edge_bs) {
      const edge = this.edge(owner);
      edge.isPrivate = false;
      if (edge.child !== null) this.publish(edge.child);
    } else this.publish(list === List.blk_root ? this.blk(owner) : this.node(owner));
  }

  /** Whether nobody but its creator can have seen the owner of `list`. */
  isPrivate(list: number, owner: number): boolean {
    if (list === List.edge_bs) return this.edge(owner).isPrivate;
    return list === List.blk_root ? this.blk(owner).isPrivate : this.node(owner).isPrivate;
  }

  /** What a drain must hold to cover `list` of `owner`: see conflicts/conflicts.ts. Null for an edge of unknown parent. */
  guard(list: number, owner: number): Holdable | null {
    if (list === List.edge_bs) return this.edge(owner).parent;
    return list === List.blk_root ? this.blk(owner) : this.node(owner);
  }
}
