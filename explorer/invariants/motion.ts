// What the operations on the graph have under way: the only things that the checker of every step lets be as they are.
//
// An operation polls, and other steps see it half done. From the moment at which bdrv_replace_child_noperm looks at an edge
// until the outermost operation or transaction is over, that edge, and the nodes from which and to which it is moved, are in
// motion; so are nodes whose references it has touched. Everything else in the graph must be right meanwhile.

import { Ev, Klass, List, siteTable } from "#core/probe";

export class Motion {
  /** Operations on the graph and transactions that are open. */
  operations = 0;
  readonly edges = new Set<number>();
  readonly nodes = new Set<number>();
  /** Nodes of which references were taken or dropped. */
  readonly references = new Set<number>();
  /** A caller of the block layer has references in its hands, and says when it has not (a storm, in a move). */
  #handsAreFull = false;
  readonly #replaceChild =
    siteTable.findIndex(({ name }) => name === "bdrv_replace_child_noperm") + 1;

  set handsAreFull(full: boolean) {
    this.#handsAreFull = full;
    if (!full && this.operations === 0) this.references.clear();
  }

  get handsAreFull(): boolean {
    return this.#handsAreFull;
  }

  /** An event has happened: true when it is an edit of the graph. */
  note(kind: number, a: number, b: number, c: number): boolean {
    switch (kind) {
      case Ev.list_read:
        if (a === List.edge_bs && c === this.#replaceChild) this.#moves(b, 0);
        return false;
      case Ev.graph_op_begin:
      case Ev.tran_new:
        this.operations++;
        return false;
      case Ev.graph_op_end:
      case Ev.tran_end:
        if (--this.operations === 0) this.#settle();
        return true;
      case Ev.edge_new:
        // Its parent may be quiesced through it before it is in any list.
        this.#moves(a, b === Klass.child_of_bds ? c : 0);
        return true;
      case Ev.list_insert:
      case Ev.list_remove:
        this.#moves(c, b);
        return true;
      case Ev.list_set:
        if (a === List.edge_bs) this.#moves(b, c);
        return true;
      case Ev.bs_new:
      case Ev.bs_ref:
      case Ev.bs_unref:
        if (this.operations > 0 || this.#handsAreFull) this.references.add(a);
        return true;
      default:
        return false;
    }
  }

  /** Outside of operations nothing may be half done. */
  #moves(edge: number, node: number): void {
    if (this.operations === 0) return;
    this.edges.add(edge);
    if (node !== 0) this.nodes.add(node);
  }

  #settle(): void {
    this.edges.clear();
    this.nodes.clear();
    if (!this.#handsAreFull) this.references.clear();
  }
}
