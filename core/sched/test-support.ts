// A machine for tests of the core alone: a host that answers at once and completes operations in order between steps, and
// a log that tests append to and compare as text.

import { assert, type ByteCount, type OpId, type VirtualNs } from "../base/index.ts";
import { NullProbe, type ProbeBase } from "../probe/index.ts";
import {
  type AioContext,
  copyContents,
  type Delivery,
  GuestBuffer,
  type Host,
  type HostCallRequest,
  type HostCopy,
  type HostOp,
  type HostResult,
  type Inbox,
  type LockRegime,
  Machine,
  type PatchNumber,
  type Polls,
  type RunOutcome,
  type Scheduler,
  seriesWithout,
} from "./index.ts";

/** Completes every operation with 0 at the next step boundary at which nothing else can run, and lets time jump to deadlines. */
export class TestHost implements Host {
  readonly kind = "simulated";
  readonly #pending: OpId[] = [];
  readonly #timers = new Map<number, number>();
  readonly #readyFds: number[] = [];
  #now = 0;

  call(_request: HostCallRequest): HostResult {
    return { ret: 0, value: 0 };
  }

  submit(op: HostOp): null {
    this.#pending.push(op.id);
    return null;
  }

  copy(op: HostCopy): void {
    this.#pending.push(op.id);
  }

  transform(): void {
    assert(false, "this host compresses nothing");
  }

  readClock(): VirtualNs {
    return this.#now as VirtualNs;
  }

  timerArmed(timerId: number, deadlineNs: VirtualNs | null): void {
    if (deadlineNs === null) this.#timers.delete(timerId);
    else this.#timers.set(timerId, deadlineNs);
  }

  /** The client behind this fd handler kicks. */
  kickFd(handlerId: number): void {
    this.#readyFds.push(handlerId);
  }

  deliver(inbox: Inbox, idle: boolean): Delivery {
    for (let fd = this.#readyFds.shift(); fd !== undefined; fd = this.#readyFds.shift())
      inbox.fdReady(fd);
    if (!idle) return "go";
    const op = this.#pending.shift();
    if (op !== undefined) {
      inbox.complete(op, 0);
      return "go";
    }
    return this.#jump(inbox);
  }

  #jump(inbox: Inbox): Delivery {
    let first: [number, number] | undefined;
    for (const entry of this.#timers) if (first === undefined || entry[1] < first[1]) first = entry;
    if (first === undefined) return "never";
    this.#timers.delete(first[0]);
    this.#now = Math.max(this.#now, first[1]);
    inbox.expire(first[0]);
    return "go";
  }

  allocate(bytes: ByteCount): GuestBuffer {
    return new GuestBuffer(bytes, new Uint8Array(bytes));
  }

  decide(decide: () => number): number {
    return decide();
  }

  reveal(from: GuestBuffer, start: number, into: Uint8Array, bytes: number): void {
    copyContents(from, start, into, bytes);
  }
}

/** The default policy. */
export const byDefault: Scheduler = {
  pick: (_runnable: readonly AioContext[], fallback: AioContext): AioContext => fallback,
};

/** What `runMain` may be told. */
export interface RunMainOptions {
  readonly lock?: LockRegime;
  readonly without?: readonly PatchNumber[];
  readonly scheduler?: Scheduler;
  readonly probe?: ProbeBase;
  readonly host?: Host;
}

/** Run `main` as the main context's thread to its end; `log` is what it appended. */
export function runMain(
  main: (log: string[]) => Polls<void>,
  options: RunMainOptions = {},
): { outcome: RunOutcome; log: string; machine: Machine } {
  const machine = new Machine({
    host: options.host ?? new TestHost(),
    scheduler: options.scheduler ?? byDefault,
    probe: options.probe ?? new NullProbe(),
    series: seriesWithout(options.without),
    lock: options.lock ?? "none",
    stepsMax: 1_000_000,
  });
  const log: string[] = [];
  machine.start(main(log));
  return { outcome: machine.run(), log: log.join(" "), machine };
}
