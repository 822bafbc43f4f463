// The edges of the full order that no protocol of the block layer promises (reference, section 2.12): locks, bottom halves,
// coroutine switches, timers, waits. They only serve to name the accident behind "covered by luck".
//
// A kick while main waits also schedules a bottom half there, and coroutines are entered in another context by a bottom half:
// "wait" and "wake" matter where that bottom half runs too late, or had begun too early, to order anything.

import type { EdgeKind } from "../edge-kinds.ts";
import type { Now } from "../now.ts";
import { type FullOrder, labelOf } from "./full.ts";
import { IdMap } from "./id-map.ts";
import { SyncPoint } from "./sync-point.ts";

const LABEL_BH = labelOf("bh");
const LABEL_CO = labelOf("coroutine");
const LABEL_WAKE = labelOf("wake");
const LABEL_TIMER = labelOf("timer");
const LABEL_WAIT = labelOf("wait");
/** Locks are numbered from 1: 0 is the graph lock, of which there is one. */
const LABEL_GRAPH_LOCK = labelOf("lock", 0);

/** A coroutine: where it yielded (or was made), and who woke or scheduled it. */
class CoPoints {
  readonly yielded = new SyncPoint();
  readonly woken = new SyncPoint();
}

export class Accidents {
  readonly #now: Now;
  readonly #full: FullOrder;
  readonly #bhs = new IdMap<SyncPoint>("bottom halves that are scheduled at a time");
  readonly #timers = new IdMap<SyncPoint>("timers that are armed at a time");
  readonly #locks = new IdMap<SyncPoint>("locks");
  readonly #coroutines = new IdMap<CoPoints>("coroutines at a time");
  /** All kicks: who waits takes them all. */
  readonly #kicks = new SyncPoint();
  /** The graph lock: where writers released it, and where readers did. */
  readonly #graphWritten = new SyncPoint();
  readonly #graphRead = new SyncPoint();
  readonly #pool: SyncPoint[] = [];
  readonly #coPool: CoPoints[] = [];
  readonly #bh: boolean;
  readonly #coroutine: boolean;
  readonly #wake: boolean;
  readonly #timer: boolean;
  readonly #wait: boolean;
  readonly #lock: boolean;

  constructor(now: Now, full: FullOrder, disabled: ReadonlySet<EdgeKind>) {
    this.#now = now;
    this.#full = full;
    this.#bh = !disabled.has("bh");
    this.#coroutine = !disabled.has("coroutine");
    this.#wake = !disabled.has("wake");
    this.#timer = !disabled.has("timer");
    this.#wait = !disabled.has("wait");
    this.#lock = !disabled.has("lock");
  }

  /** Places where releases wait to be acquired. */
  get points(): number {
    const others = this.#bhs.size + this.#timers.size + this.#locks.size;
    return others + 2 * this.#coroutines.size;
  }

  /** Kinds that only the full order knows; false for others. */
  on(kind: number, a: number, b: number, c: number): boolean {
    switch (kind) {
      case 30: // kick
        this.kick();
        return true;
      case 15: // bh_schedule
        this.bhSchedule(a);
        return true;
      case 35: // co_create
        this.coYield(a);
        return true;
      case 39: // co_schedule
      case 40: // co_wake
        this.coWake(a);
        return true;
      case 29: // wait_end
        this.waitEnd(b);
        return true;
      case 19: // timer_arm
        this.timerArm(a);
        return true;
      case 46: // lock_acquire
        this.lockAcquire(a, c);
        return true;
      case 47: // lock_release
        this.lockRelease(a, c);
        return true;
      case 74: // graph_rdlock
      case 76: // graph_wrlock
        this.graphLock(kind === 76);
        return true;
      case 75: // graph_rdunlock
      case 77: // graph_wrunlock
        this.graphUnlock(kind === 77);
        return true;
      default:
        return false;
    }
  }

  bhSchedule(bh: number): void {
    if (this.#bh) this.#release(this.#bhs, bh);
  }

  /** A bottom half runs, or the handler of an event notifier, which one schedules by setting it. */
  bhRun(bh: number): void {
    this.#take(this.#bhs, bh, LABEL_BH);
  }

  /** It was made or yields: whoever enters it next comes after that. */
  coYield(co: number): void {
    if (this.#coroutine) this.#full.release(this.#co(co).yielded, this.#now.unit);
  }

  coWake(co: number): void {
    if (this.#wake) this.#full.release(this.#co(co).woken, this.#now.unit);
  }

  coEnter(co: number): void {
    const points = this.#coroutines.get(co);
    if (points === undefined) return;
    const { unit } = this.#now;
    this.#full.acquire(points.yielded, unit, LABEL_CO);
    this.#full.acquire(points.woken, unit, LABEL_WAKE);
    points.yielded.clear();
    points.woken.clear();
  }

  coTerminate(co: number): void {
    const points = this.#coroutines.get(co);
    if (points === undefined) return;
    this.#coroutines.delete(co);
    points.yielded.clear();
    points.woken.clear();
    this.#coPool.push(points);
  }

  timerArm(timer: number): void {
    if (this.#timer) this.#release(this.#timers, timer);
  }

  timerRun(timer: number): void {
    this.#take(this.#timers, timer, LABEL_TIMER);
  }

  kick(): void {
    if (this.#wait) this.#full.release(this.#kicks, this.#now.unit);
  }

  waitEnd(waited: number): void {
    if (waited !== 0) this.#full.acquire(this.#kicks, this.#now.unit, LABEL_WAIT);
  }

  lockAcquire(lock: number, depth: number): void {
    if (depth !== 1 || !this.#lock) return;
    const point = this.#locks.get(lock);
    if (point !== undefined) this.#full.acquire(point, this.#now.unit, labelOf("lock", lock));
  }

  lockRelease(lock: number, depth: number): void {
    if (depth !== 0 || !this.#lock) return;
    let point = this.#locks.get(lock);
    if (point === undefined) {
      point = new SyncPoint();
      this.#locks.set(lock, point);
    }
    this.#full.releaseAlone(point, this.#now.unit);
  }

  /** The graph lock was taken: a reader comes after the writers, a writer after all. */
  graphLock(write: boolean): void {
    if (!this.#lock) return;
    this.#full.acquire(this.#graphWritten, this.#now.unit, LABEL_GRAPH_LOCK);
    if (write) this.#full.acquire(this.#graphRead, this.#now.unit, LABEL_GRAPH_LOCK);
  }

  graphUnlock(write: boolean): void {
    if (!this.#lock) return;
    this.#full.release(write ? this.#graphWritten : this.#graphRead, this.#now.unit);
  }

  #co(co: number): CoPoints {
    let points = this.#coroutines.get(co);
    if (points === undefined) {
      points = this.#coPool.pop() ?? new CoPoints();
      this.#coroutines.set(co, points);
    }
    return points;
  }

  #release(table: IdMap<SyncPoint>, id: number): void {
    let point = table.get(id);
    if (point === undefined) {
      point = this.#pool.pop() ?? new SyncPoint();
      table.set(id, point);
    }
    this.#full.release(point, this.#now.unit);
  }

  /** Acquire what is there and forget it: it is for one taker. */
  #take(table: IdMap<SyncPoint>, id: number, label: number): void {
    const point = table.get(id);
    if (point === undefined) return;
    this.#full.acquire(point, this.#now.unit, label);
    table.delete(id);
    point.clear();
    this.#pool.push(point);
  }
}
