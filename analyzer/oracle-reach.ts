// What the brute-force oracle is made of: reachability among events, and among the objects of the graph.

import { List } from "#core/probe";

/** Events reachable backwards, as bit sets. */
export class Reach {
  readonly #words: number;
  readonly #rows: Uint32Array[] = [];

  constructor(events: number) {
    this.#words = Math.ceil(events / 32);
  }

  /** The next event comes directly after `preds`; what comes before these, `among` says. */
  push(preds: Iterable<number>, among: Reach = this): void {
    const row = new Uint32Array(this.#words);
    for (const pred of preds) {
      const from = among.#rows[pred] as Uint32Array;
      for (let i = 0; i < row.length; i++) row[i] = (row[i] as number) | (from[i] as number);
      row[pred >>> 5] = (row[pred >>> 5] as number) | (1 << (pred & 31));
    }
    this.#rows.push(row);
  }

  before(a: number, b: number): boolean {
    return (((this.#rows[b] as Uint32Array)[a >>> 5] as number) & (1 << (a & 31))) !== 0;
  }
}

/** Who can be reached by others than its creator: names like n1, b1 (objects) and e1 (edges). */
export class Reachability {
  readonly hidden = new Set<string>();
  readonly parent = new Map<string, string>();
  readonly #below = new Map<string, Set<string>>();
  readonly #child = new Map<string, string>();

  show(name: string): void {
    this.hidden.delete(name);
    for (const next of [...(this.#below.get(name) ?? []), this.#child.get(name)]) {
      if (next !== undefined && (this.hidden.has(next) || next.startsWith("e"))) this.show(next);
    }
  }

  /** A list was edited: `now` is the edge or node that it holds now, 0 none; `edge` what was inserted or removed. */
  edited(list: number, owner: string, now: number, edge: number): void {
    if (list === List.edge_bs) {
      if (now === 0) this.#child.delete(owner);
      else this.#child.set(owner, `n${now}`);
      const visible = !this.hidden.has(owner) || !this.hidden.has(this.parent.get(owner) ?? "");
      if (now !== 0 && visible) this.show(`n${now}`);
      return;
    }
    if (list !== List.children && list !== List.blk_root) return;
    const edges =
      list === List.blk_root ? new Set<string>() : (this.#below.get(owner) ?? new Set<string>());
    if (now !== 0) edges.add(`e${now}`);
    else edges.delete(`e${edge}`);
    this.#below.set(owner, edges);
    if (!this.hidden.has(owner)) this.show(owner);
  }
}
