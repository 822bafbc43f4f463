// The full order's clocks. Contexts are threads here: one component each. A clock that others may look at is an immutable
// snapshot, shared until the context learns something new, so that a release copies nothing: it stores who, when, and which
// snapshot. Next to each component stands the *label* of the edge through which the knowledge came, so that the accident
// that orders two accesses is named without a search.

/** What a context knew of the others at some moment; never changed once somebody else can see it. */
export class Snapshot {
  /** Epoch known of each context; its own component is in the SyncPoint. */
  readonly epochs: Int32Array;
  /** Label through which that came. */
  readonly labels: Int32Array;

  constructor(contexts: number) {
    this.epochs = new Int32Array(contexts);
    this.labels = new Int32Array(contexts);
  }
}

/** Where releases meet acquires in the full order: a lock, a bottom half, a coroutine, a counter. */
export class SyncPoint {
  /** Context that released last; -1 for nobody. */
  ctx = -1;
  epoch = 0;
  snapshot: Snapshot | null = null;
  /** What others had released before, joined; null as nearly always. */
  more: Snapshot | null = null;

  clear(): void {
    this.ctx = -1;
    this.snapshot = null;
    this.more = null;
  }
}
