// Where releases meet acquires in the full order: a lock, a bottom half, a coroutine, a counter. A release copies nothing: it
// stores who, when, and what the releaser knew, as one of the two engines keeps that (full.ts).

import type { Past } from "./main-order.ts";

/** What a component knew of the others at some moment; never changed once somebody else can see it. */
export class Snapshot {
  /** Epoch known of each component; its own is in the SyncPoint. */
  readonly epochs: Int32Array;
  /** Label through which that came. */
  readonly labels: Int32Array;

  constructor(components: number) {
    this.epochs = new Int32Array(components);
    this.labels = new Int32Array(components);
  }
}

export class SyncPoint {
  /** Component that released last; -1 for nobody. */
  ctx = -1;
  epoch = 0;

  /** VectorOrder: what it knew, and what others had released before, joined; null as nearly always. */
  snapshot: Snapshot | null = null;
  more: Snapshot | null = null;

  /** MainOrder: what it knew, up to when it knew main, and through what. */
  past: Past | null = null;
  main = 0;
  mainLabel = 0;
  /** The same of those who had released before, and the length at which that is listed. */
  others: Past | null = null;
  othersMain = 0;
  othersMainLabel = 0;
  othersMax = 0;

  clear(): void {
    this.ctx = -1;
    this.snapshot = null;
    this.more = null;
    this.past = null;
    this.others = null;
    this.othersMain = 0;
  }
}
