// Who holds the graph lock of QEMU 8.0 and later. A reader is a coroutine or handler, and with it the whole request that it
// works for: coroutines that a request starts and waits for read under the lock that the request took. The writer is a handler
// of main, and nothing that a poll inside of it runs.

import { Ev } from "#core/probe";
import type { Now } from "../now.ts";
import type { Operations } from "./operations.ts";

/** What an event did wrong to the lock. */
export type LockFault =
  | "read while written"
  | "written while read"
  | "written twice"
  | "reader without lock"
  | "writer without lock";

interface Reader {
  readonly activity: number;
  readonly task: number;
}

export class GraphLock {
  /** Events of the lock: a pass that asks about it hands these on. */
  static readonly KINDS = [
    Ev.graph_rdlock,
    Ev.graph_rdunlock,
    Ev.graph_wrlock,
    Ev.graph_wrunlock,
  ] as const;
  /** The lock was taken at least once. */
  taken = false;
  readonly #now: Now;
  readonly #operations: Operations;
  /** One entry for each time that it is held for reading: readers nest. */
  readonly #readers: Reader[] = [];
  /** Activity of the writer; null for none. */
  #writer: number | null = null;

  constructor(now: Now, operations: Operations) {
    this.#now = now;
    this.#operations = operations;
  }

  /** An event of one of KINDS; returns what was wrong with it. */
  on(kind: number): LockFault | null {
    const me = this.#me();
    this.taken = true;
    switch (kind) {
      case Ev.graph_rdlock:
        this.#readers.push(me);
        return this.#writer === null ? null : "read while written";
      case Ev.graph_rdunlock: {
        const at = this.#readers.findLastIndex((reader) => isSame(reader, me));
        if (at < 0) return "reader without lock";
        this.#readers.splice(at, 1);
        return null;
      }
      case Ev.graph_wrlock: {
        const fault = this.#writer !== null ? "written twice" : "written while read";
        const isFree = this.#writer === null && this.#readers.length === 0;
        this.#writer = me.activity;
        return isFree ? null : fault;
      }
      default: {
        const isOwn = this.#writer === me.activity;
        this.#writer = null;
        return isOwn ? null : "writer without lock";
      }
    }
  }

  /** Whether what runs now may read by the lock alone. */
  reads(): boolean {
    if (this.#writer === null && this.#readers.length === 0) return false;
    const me = this.#me();
    return this.#writer === me.activity || this.#readers.some((reader) => isSame(reader, me));
  }

  /** Whether what runs now holds the lock for writing. */
  writes(): boolean {
    return this.#writer === this.#me().activity;
  }

  #me(): Reader {
    return { activity: this.#operations.activity(this.#now.ctx), task: this.#now.taskId };
  }
}

function isSame(a: Reader, b: Reader): boolean {
  return a.activity === b.activity || (a.task !== 0 && a.task === b.task);
}
