// The host and scheduler of a replay: every answer comes from the recording, at the step at which it came then.
//
// Both read the place in the recording that the checking probe has reached, and never move it: the probe does, when the core
// emits the event. Between two steps the host delivers what is due after exactly this many steps; then the scheduler looks
// whether a choice is due at the same boundary. Mid-step inputs (clock, host calls, decisions) are read when the core asks. If
// what the core asks for is not what comes next, any answer will do: the event that the core emits then is the difference.
// Guest memory is poisoned: nothing of it was recorded.

import type { ByteCount, VirtualNs } from "#core/base";
import { Ev } from "#core/probe";
import {
  type AioContext,
  type Delivery,
  GuestBuffer,
  type Host,
  type HostOp,
  type HostResult,
  type Inbox,
  outstandingOperations,
  type Scheduler,
} from "#core/sched";
import type { EventCursor } from "./event-cursor.ts";

/** One revealed piece, as words and as bytes; of a table there are hundreds, so they share it. */
const PIECE = new Uint8Array(16);
const WORDS = new DataView(PIECE.buffer);

/** Called when a recorded input cannot happen: the run has left the recording. Does not return. */
export type OnImpossible = (why: string) => never;

export class ReplayedHost implements Host, Scheduler {
  readonly kind = "replayed";
  readonly #recorded: EventCursor;
  readonly #impossible: OnImpossible;

  constructor(recorded: EventCursor, impossible: OnImpossible) {
    this.#recorded = recorded;
    this.#impossible = impossible;
  }

  call(): HostResult {
    if (!this.#nextIs(Ev.host_call)) return { ret: 0, value: 0 };
    return { ret: this.#arg(2), value: this.#arg(4) };
  }

  submit({ id }: HostOp): number | null {
    if (!this.#nextIs(Ev.io_now) || this.#arg(0) !== id) return null;
    return this.#arg(1);
  }

  transform(): void {}

  copy(): void {}

  readClock(): VirtualNs {
    if (!this.#nextIs(Ev.clock_read)) return 0 as VirtualNs;
    return this.#arg(4) as VirtualNs;
  }

  timerArmed(): void {}

  decide(): number {
    if (!this.#nextIs(Ev.data_decision)) return 0;
    return this.#arg(1);
  }

  /** The events of the pieces follow that of the whole, so the piece that is asked for comes next. */
  reveal(_from: GuestBuffer, _start: number, into: Uint8Array, bytes: number): void {
    if (!this.#nextIs(Ev.revealed)) return;
    for (let slot = 0; slot < 4; slot++) WORDS.setInt32(4 * slot, this.#arg(slot));
    for (let i = 0; i < bytes; i++) into[i] = PIECE[i] as number;
  }

  allocate(bytes: ByteCount): GuestBuffer {
    return new GuestBuffer(bytes, null);
  }

  deliver(inbox: Inbox, idle: boolean): Delivery {
    let delivered = false;
    while (this.#deliverOne(inbox)) delivered = true;
    if (!idle || delivered) return "go";
    if (this.#nextIs(Ev.run_end) || this.#nextIs(Ev.stuck)) return "never";
    return this.#impossible("nothing can run, but the recording goes on");
  }

  /** The next input, if it is a delivery and due now. */
  #deliverOne(inbox: Inbox): boolean {
    if (this.#recorded.done) return false;
    const kind = this.#kind();
    if (kind === Ev.io_complete) {
      if (!this.#due(3, inbox)) return false;
      const id = this.#arg(0);
      const ret = this.#arg(2);
      if (!outstandingOperations().some((operation) => operation.id === id)) {
        this.#impossible("the recording completes an operation that is not outstanding here");
      }
      inbox.complete(id as never, ret);
      return true;
    }
    if (kind === Ev.timer_expire || kind === Ev.fd_ready) {
      if (!this.#due(1, inbox)) return false;
      const id = this.#arg(0);
      const accepted = kind === Ev.timer_expire ? inbox.expire(id) : inbox.fdReady(id);
      if (!accepted)
        this.#impossible("the recording delivers to a timer or handler that is not waiting here");
      return true;
    }
    return false;
  }

  /** Whether the input whose `steps` sit in `slot` is due at this boundary; one that is overdue can never come. */
  #due(slot: number, inbox: Inbox): boolean {
    const steps = this.#arg(slot);
    if (inbox.stepsSinceInput > steps)
      this.#impossible("the recording has an input here, between two steps");
    return inbox.stepsSinceInput === steps;
  }

  pick(
    runnable: readonly AioContext[],
    byDefault: AioContext,
    stepsSinceInput: number,
  ): AioContext {
    if (!this.#nextIs(Ev.sched_choice) || this.#arg(1) !== stepsSinceInput) return byDefault;
    const chosen = runnable.find((ctx) => ctx.id === this.#arg(0));
    if (chosen === undefined)
      return this.#impossible("the recording runs a context that cannot run here");
    return chosen;
  }

  #nextIs(kind: number): boolean {
    return !this.#recorded.done && this.#kind() === kind;
  }

  #kind(): number {
    return this.#recorded.batch?.kind(this.#recorded.at) ?? 0;
  }

  #arg(slot: number): number {
    return this.#recorded.batch?.arg(this.#recorded.at, slot) ?? 0;
  }
}
