// A trace of quiesce as an abstract trace, for analyzers that know threads, variables and locks alone; docs/foreign-traces.md has
// the same in prose.
//
// Contexts are threads, the lists of the graph are variables, sites are locations. Locks that a context holds are locks; starting
// and joining a context is fork and join. Every other edge of the full order is a message:
//
//   sender    acq(m7) rel(m7)            a lock that is made for this message
//   receiver           ...   acq(m7) rel(m7)
//
// Nobody else takes that lock, so it orders sender and receiver, and nothing more, unless two receive the same message: the
// second comes after the first. A newer message of a sender stands for its older ones. Of tasks, and of what a drain covers,
// nothing is left.
//
// An engine that may take locks in another order must not take these so: for it, a message is a variable that the sender
// writes and the receiver reads (`messagesAs`).

import { Ev, type EventBatch, LIST_KINDS, LOCK_KINDS, WORLD_CTX } from "#core/probe";
import {
  type AbstractBlock,
  type AbstractNames,
  type AbstractSource,
  type NameTable,
  newBlock,
  StdOp,
} from "./abstract-trace.ts";
import { blockEventsMax } from "./limits.ts";
import { RECEIVES, SENDS } from "./messages.ts";

/** Locks that a context holds from taking to letting go; others move with a coroutine, or have many holders. */
const THREAD_LOCKS: ReadonlySet<string> = new Set(["aio_context", "bql", "mutex"]);
/** Names of what stands for messages begin so, and no other does. */
export const MESSAGE = "m";
const OWNERS: Readonly<Record<string, string>> = { edge_bs: "e", blk_root: "blk" };

/** The newest message of a context in a mailbox. */
interface Message {
  /** The lock or variable that stands for it. */
  readonly carrier: number;
  readonly sequence: number;
  isReceived: boolean;
}

interface Mailbox {
  /** By who sent it. */
  readonly messages: Map<number, Message>;
  /** Up to which message each context has received. */
  readonly received: Map<number, number>;
}

export interface QuiesceSourceOptions {
  /** What tells a message; "locks" by default. */
  readonly messagesAs?: "locks" | "variables";
  /** Whether to keep `origins`: a number for each event. */
  readonly withOrigins?: boolean;
}

export class QuiesceSource implements AbstractSource {
  readonly names: AbstractNames;
  /** How often a second context received a message, and so came after the first one. */
  addedOrders = 0;
  /** Which event of the trace each event of the abstract one stands for, when asked for. */
  readonly origins: number[] = [];
  readonly #batches: Iterable<EventBatch>;
  readonly #options: QuiesceSourceOptions;
  #index = -1;
  readonly #threads = new Numbering();
  readonly #variables = new Numbering();
  readonly #locks = new Numbering();
  #block = newBlock(blockEventsMax);
  readonly #mailboxes = new Map<string, Mailbox>();
  /** Coroutines that somebody started and waits for. */
  readonly #awaited = new Set<number>();
  #messages = 0;

  constructor(batches: Iterable<EventBatch>, options: QuiesceSourceOptions = {}) {
    this.#batches = batches;
    this.#options = options;
    this.names = { threads: this.#threads, variables: this.#variables, locks: this.#locks };
  }

  *blocks(): Generator<AbstractBlock, void, undefined> {
    for (const batch of this.#batches) {
      for (let i = 0; i < batch.count; i++) {
        this.#index++;
        if (batch.ctx(i) !== WORLD_CTX) this.#event(batch.kind(i), batch.ctx(i), batch, i);
      }
      if (this.#block.count === 0) continue;
      yield this.#block;
      this.#block.count = 0;
    }
  }

  #event(kind: number, ctx: number, batch: EventBatch, i: number): void {
    const [a, b, c] = [batch.arg(i, 0), batch.arg(i, 1), batch.arg(i, 2)];
    switch (kind) {
      case Ev.list_read:
        this.#emit(ctx, StdOp.read, this.#variable(a, b), c);
        break;
      case Ev.list_insert:
      case Ev.list_remove:
      case Ev.list_set:
        this.#emit(ctx, StdOp.write, this.#variable(a, b), batch.arg(i, 3));
        break;
      case Ev.ctx_start:
        this.#emit(ctx, StdOp.fork, this.#thread(a), 0);
        break;
      case Ev.ctx_join:
        this.#emit(ctx, StdOp.join, this.#thread(a), 0);
        break;
      case Ev.lock_acquire:
        if (c === 1) this.#lock(ctx, StdOp.acquire, `l${a}`, b);
        break;
      case Ev.lock_release:
        if (c === 0) this.#lock(ctx, StdOp.release, `l${a}`, b);
        break;
      default:
        this.#edges(kind, ctx, [a, b, c]);
    }
  }

  #lock(ctx: number, op: StdOp, name: string, kind: number): void {
    if (THREAD_LOCKS.has(LOCK_KINDS[kind] ?? ""))
      this.#emit(ctx, op, this.#locks.numberOf(name), 0);
    else if (op === StdOp.acquire) this.#receive(ctx, name, false);
    else this.#send(ctx, name);
  }

  #edges(kind: number, ctx: number, args: readonly [number, number, number]): void {
    if (kind === Ev.wrapper_begin) this.#awaited.add(args[0]);
    // What nobody waits for is not worth a message.
    if (kind === Ev.task_end && !this.#awaited.delete(args[1])) return;
    for (const { mailbox, isTaken } of RECEIVES[kind] ?? []) {
      const name = mailbox(args, ctx);
      if (name !== null) this.#receive(ctx, name, isTaken);
    }
    const name = SENDS[kind]?.(args, ctx) ?? null;
    if (name !== null) this.#send(ctx, name);
    if (kind === Ev.co_terminate) this.#mailboxes.delete(`co${args[0]}`);
  }

  #send(ctx: number, name: string): void {
    const sequence = ++this.#messages;
    const { messagesAs } = this.#options;
    const carriers = messagesAs === "variables" ? this.#variables : this.#locks;
    const carrier = carriers.numberOf(`${MESSAGE}${sequence}`);
    const mailbox = this.#mailboxes.get(name) ?? { messages: new Map(), received: new Map() };
    this.#mailboxes.set(name, mailbox);
    mailbox.messages.set(ctx, { carrier, sequence, isReceived: false });
    if (messagesAs === "variables") this.#emit(ctx, StdOp.write, carrier, 0);
    else this.#touch(ctx, carrier);
  }

  /** `isTaken`: the messages are for one receiver, who takes them out. */
  #receive(ctx: number, name: string, isTaken: boolean): void {
    const mailbox = this.#mailboxes.get(name);
    if (mailbox === undefined) return;
    const last = mailbox.received.get(ctx) ?? 0;
    for (const [sender, message] of mailbox.messages) {
      if (sender === ctx || message.sequence <= last) continue;
      if (message.isReceived) this.addedOrders++;
      message.isReceived = true;
      if (this.#options.messagesAs === "variables") this.#emit(ctx, StdOp.read, message.carrier, 0);
      else this.#touch(ctx, message.carrier);
    }
    if (isTaken) this.#mailboxes.delete(name);
    else mailbox.received.set(ctx, this.#messages);
  }

  #touch(ctx: number, lock: number): void {
    this.#emit(ctx, StdOp.acquire, lock, 0);
    this.#emit(ctx, StdOp.release, lock, 0);
  }

  #emit(ctx: number, op: StdOp, operand: number, location: number): void {
    if (this.#block.count === this.#block.ops.length) this.#grow();
    const block = this.#block;
    const at = block.count++;
    block.ops[at] = op;
    block.threads[at] = this.#thread(ctx);
    block.operands[at] = operand;
    block.locations[at] = location;
    if (this.#options.withOrigins === true) this.origins.push(this.#index);
  }

  #grow(): void {
    const { ops, threads, operands, locations, count } = this.#block;
    const larger = newBlock(2 * count);
    larger.ops.set(ops);
    larger.threads.set(threads);
    larger.operands.set(operands);
    larger.locations.set(locations);
    larger.count = count;
    this.#block = larger;
  }

  #thread(ctx: number): number {
    return this.#threads.numberOf(`ctx${ctx}`);
  }

  #variable(list: number, owner: number): number {
    const word = LIST_KINDS[list] ?? "none";
    return this.#variables.numberOf(`${word}.${OWNERS[word] ?? "n"}${owner}`);
  }
}

/** Numbers names in the order in which they first come. */
class Numbering implements NameTable {
  readonly #names: string[] = [];
  readonly #numbers = new Map<string, number>();

  get count(): number {
    return this.#names.length;
  }

  name(index: number): string {
    return this.#names[index] ?? "";
  }

  numberOf(name: string): number {
    const known = this.#numbers.get(name);
    if (known !== undefined) return known;
    const number = this.#names.push(name) - 1;
    this.#numbers.set(name, number);
    return number;
  }
}
