// The edges of the full order that no protocol of the block layer promises (reference, section 2.12): locks, bottom halves,
// coroutine switches, I/O, timers, waits. They only serve to name the accident behind "covered by luck".

import type { EdgeKind } from "../edge-kinds.ts";
import type { Now } from "../now.ts";
import { type FullOrder, labelOf } from "./full.ts";
import { IdMap } from "./id-map.ts";
import { SyncPoint } from "./sync-point.ts";

const LABEL_BH = labelOf("bh");
const LABEL_CO = labelOf("coroutine");
const LABEL_WAKE = labelOf("wake");
const LABEL_IO = labelOf("io");
const LABEL_TIMER = labelOf("timer");
const LABEL_WAIT = labelOf("wait");

export class Accidents {
  readonly #now: Now;
  readonly #full: FullOrder;
  readonly #bhs = new IdMap<SyncPoint>();
  readonly #timers = new IdMap<SyncPoint>();
  readonly #ops = new IdMap<SyncPoint>();
  readonly #locks = new IdMap<SyncPoint>();
  /** Where a coroutine yielded, and who woke or scheduled it. */
  readonly #yields = new IdMap<SyncPoint>();
  readonly #wakes = new IdMap<SyncPoint>();
  readonly #kicks = new SyncPoint();
  readonly #pool: SyncPoint[] = [];
  readonly #bh: boolean;
  readonly #coroutine: boolean;
  readonly #wake: boolean;
  readonly #io: boolean;
  readonly #timer: boolean;
  readonly #wait: boolean;
  readonly #lock: boolean;

  constructor(now: Now, full: FullOrder, disabled: ReadonlySet<EdgeKind>) {
    this.#now = now;
    this.#full = full;
    this.#bh = !disabled.has("bh");
    this.#coroutine = !disabled.has("coroutine");
    this.#wake = !disabled.has("wake");
    this.#io = !disabled.has("io");
    this.#timer = !disabled.has("timer");
    this.#wait = !disabled.has("wait");
    this.#lock = !disabled.has("lock");
  }

  bhSchedule(bh: number): void {
    if (this.#bh) this.#release(this.#bhs, bh);
  }

  bhRun(bh: number): void {
    this.#take(this.#bhs, bh, LABEL_BH);
  }

  coCreate(co: number): void {
    if (this.#coroutine) this.#release(this.#yields, co);
  }

  coYield(co: number): void {
    if (this.#coroutine) this.#release(this.#yields, co);
  }

  coWake(co: number): void {
    if (this.#wake) this.#release(this.#wakes, co);
  }

  coEnter(co: number): void {
    this.#take(this.#yields, co, LABEL_CO);
    this.#take(this.#wakes, co, LABEL_WAKE);
  }

  coTerminate(co: number): void {
    this.#drop(this.#wakes, co);
    this.#drop(this.#yields, co);
  }

  ioSubmit(op: number): void {
    if (this.#io) this.#release(this.#ops, op);
  }

  ioDone(op: number): void {
    this.#take(this.#ops, op, LABEL_IO);
  }

  timerArm(timer: number): void {
    if (this.#timer) this.#release(this.#timers, timer);
  }

  timerRun(timer: number): void {
    this.#take(this.#timers, timer, LABEL_TIMER);
  }

  kick(): void {
    if (this.#wait) this.#full.release(this.#kicks, this.#now.ctx);
  }

  waitEnd(waited: number): void {
    if (waited !== 0 && this.#wait) this.#full.acquire(this.#kicks, this.#now.ctx, LABEL_WAIT);
  }

  lockAcquire(lock: number, depth: number): void {
    if (depth !== 1 || !this.#lock) return;
    const point = this.#locks.get(lock);
    if (point !== undefined) this.#full.acquire(point, this.#now.ctx, labelOf("lock", lock));
  }

  lockRelease(lock: number, depth: number): void {
    if (depth !== 0 || !this.#lock) return;
    let point = this.#locks.get(lock);
    if (point === undefined) {
      point = new SyncPoint();
      this.#locks.set(lock, point);
    }
    this.#full.releaseAlone(point, this.#now.ctx);
  }

  #release(table: IdMap<SyncPoint>, id: number): void {
    let point = table.get(id);
    if (point === undefined) {
      point = this.#pool.pop() ?? new SyncPoint();
      table.set(id, point);
    }
    this.#full.release(point, this.#now.ctx);
  }

  #drop(table: IdMap<SyncPoint>, id: number): void {
    const point = table.get(id);
    if (point === undefined) return;
    table.delete(id);
    point.clear();
    this.#pool.push(point);
  }

  /** Acquire what is there and forget it: it is for one taker. */
  #take(table: IdMap<SyncPoint>, id: number, label: number): void {
    const point = table.get(id);
    if (point === undefined) return;
    this.#full.acquire(point, this.#now.ctx, label);
    table.delete(id);
    point.clear();
    this.#pool.push(point);
  }
}
