// The lists that were read or edited, by kind and owner. Owners' numbers count up; those of a run's first objects, which are
// read most, are found in an array.

import { List } from "#core/probe";
import { refuseMore, refuseNonsense } from "../bounds.ts";
import { CELLS_MAX } from "../limits.ts";
import { IdMap } from "../order/id-map.ts";
import { SITES_MAX } from "./cells.ts";
import { LISTS_MAX, type Variable } from "./variable.ts";

const DENSE_MAX = 1 << 16;

export class Variables {
  readonly #dense: (Variable | undefined)[][] = Array.from({ length: LISTS_MAX }, () => []);
  readonly #others = Array.from(
    { length: LISTS_MAX },
    () => new IdMap<Variable>("lists at a time"),
  );
  #cells = 0;

  get(list: number, owner: number): Variable | undefined {
    const dense = this.#dense[list];
    if (dense === undefined) return undefined;
    return owner >= 0 && owner < DENSE_MAX ? dense[owner] : this.#others[list]?.get(owner);
  }

  /** Adds `variable`; event `index` is the first to name it. */
  add(variable: Variable, index: number): void {
    const { list, owner } = variable;
    const dense = this.#dense[list];
    if (dense === undefined || list === List.none)
      refuseNonsense(index, "a list that no graph has");
    if (owner < 0 || owner >= DENSE_MAX) this.#others[list]?.set(owner, variable);
    else {
      for (let i = dense.length; i < owner; i++) dense.push(undefined);
      dense[owner] = variable;
    }
  }

  /** A reader more, which is at `site`, is about to be told apart. */
  countCell(site: number, index: number): void {
    if (site < 0 || site >= SITES_MAX) refuseNonsense(index, "a site that no source has");
    if (++this.#cells > CELLS_MAX) refuseMore(CELLS_MAX, "readers of lists");
  }

  remove(variable: Variable): void {
    const { list, owner } = variable;
    this.#cells -= variable.cells.length;
    if (owner < 0 || owner >= DENSE_MAX) this.#others[list]?.delete(owner);
    else (this.#dense[list] as (Variable | undefined)[])[owner] = undefined;
  }

  forEach(body: (variable: Variable) => void): void {
    for (const dense of this.#dense)
      for (const variable of dense) if (variable !== undefined) body(variable);
    for (const others of this.#others) others.forEach(body);
  }
}
