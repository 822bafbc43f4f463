// Which graph operations and transaction callbacks are under way, by call stack rather than by context: a nested poll runs
// other handlers and coroutines on the same thread, and what they edit is not the doing of the operation that polls.
//
//   main body ── bdrv_append begins ── drained_begin polls ── [bottom half: bdrv_replace_node … ] ── edit
//   activity 0   frames [bdrv_append]                          activity 7: frames [bdrv_replace_node]
//
// An *activity* is one such stack: a context's body, one run of a bottom half or fd handler, or a coroutine (which keeps its
// frames while it sleeps). Timer and completion handlers have no end event and count as part of what they interrupt. A
// stack of frames is interned as a *chain*, a small number that reports turn into names.

import { assert } from "#core/base";
import { refuseMore } from "../bounds.ts";
import { CONTEXT_MAX, NESTING_MAX, OBJECTS_MAX, OPERATIONS_NESTING_MAX } from "../limits.ts";

/** Chains fit the key of a cell; what is nested deeper or more variously than this shares the chain 0, "no operation". */
export const CHAINS_MAX = 8192;

/** A frame of a chain: a graph operation (phase -1, `ref` is its site) or a callback (`ref` is the action's string). */
export interface ChainFrame {
  readonly parent: number;
  readonly ref: number;
  readonly phase: number;
}

interface Frames {
  chain: number;
  /** Distinguishes two runs of one operation. */
  readonly serials: number[];
  /** Event at which the outermost one began. */
  readonly since: number;
}

/** Call stacks of the contexts, as far as operations on the graph go. */
export class Operations {
  readonly #frames: ChainFrame[] = [{ parent: 0, ref: 0, phase: -1 }];
  readonly #children = new Map<string, number>();
  /** Activities with frames; all others have none. */
  readonly #open = new Map<number, Frames>();
  readonly #stacks: number[][] = [];
  /** Chain of each context's activity. */
  readonly #chains: number[] = [];
  #activities = 0;
  #serials = 0;
  /** Bodies of contexts that had a frame: activity numbers start here, below are the contexts. */
  static readonly #FIRST = CONTEXT_MAX + 1;

  /** The chain of operations under way in `ctx`; 0 for none. */
  chain(ctx: number): number {
    return this.#chains[ctx] ?? 0;
  }

  /** The activity that runs in `ctx`. */
  activity(ctx: number): number {
    const stack = this.#stacks[ctx];
    return stack === undefined || stack.length === 0 ? ctx : (stack[stack.length - 1] as number);
  }

  /** Distinguishes runs of the outermost operation under way in `ctx`; 0 for none. */
  outermost(ctx: number): number {
    return this.#open.get(this.activity(ctx))?.serials[0] ?? 0;
  }

  /** Whether the run `serial` of the outermost operation of `activity` is not over. */
  isUnderWay(activity: number, serial: number): boolean {
    return this.#open.get(activity)?.serials[0] === serial;
  }

  /**
   * Whether `section` was opened by the operation that runs in the main context: by the same call stack, within the outermost
   * operation that is under way, or by its caller before that.
   */
  opened(section: {
    readonly ctx: number;
    readonly activity: number;
    readonly outermost: number;
  }): boolean {
    if (section.ctx !== 0 || section.activity !== this.activity(0)) return false;
    return section.outermost === 0 || section.outermost === this.outermost(0);
  }

  /** A bottom half, or an fd handler (`client`), begins in `ctx`: the latter have odd numbers. */
  handlerBegin(ctx: number, client = false): void {
    this.#push(ctx, Operations.#FIRST + 2 * this.#activities++ + (client ? 1 : 0));
  }

  /** What `activity` is. */
  static kindOf(activity: number): "coroutine" | "body" | "bottom half" | "client" {
    if (activity < 0) return "coroutine";
    if (activity < Operations.#FIRST) return "body";
    return (activity - Operations.#FIRST) % 2 === 0 ? "bottom half" : "client";
  }

  /** What runs in `ctx` below the coroutine that runs there: whoever has entered it. */
  under(ctx: number): number {
    const stack = this.#stacks[ctx];
    if (stack === undefined || stack.length < 2) return ctx;
    return stack[stack.length - 2] as number;
  }

  handlerEnd(ctx: number): void {
    const stack = this.#stacks[ctx];
    if (stack === undefined || stack.length === 0) return;
    this.#open.delete(stack.pop() as number);
    this.#refresh(ctx);
  }

  /** `co` is entered in `ctx`. */
  coEnter(ctx: number, co: number): void {
    this.#push(ctx, -co);
  }

  /** `co` yields or ends. */
  coLeave(ctx: number, co: number, ended: boolean): void {
    if (ended) this.#open.delete(-co);
    const stack = this.#stacks[ctx];
    if (stack === undefined || stack[stack.length - 1] !== -co) return;
    stack.pop();
    this.#refresh(ctx);
  }

  /** Event at which the outermost operation under way in `ctx` began; 0 for none. */
  outermostSince(ctx: number): number {
    return this.#open.get(this.activity(ctx))?.since ?? 0;
  }

  /** A frame begins in `ctx`, at event `index`. */
  begin(ctx: number, ref: number, phase: number, index: number): void {
    const activity = this.activity(ctx);
    let frames = this.#open.get(activity);
    if (frames === undefined) {
      if (this.#open.size >= OBJECTS_MAX)
        refuseMore(OBJECTS_MAX, "operations on the graph at a time");
      frames = { chain: 0, serials: [], since: index };
      this.#open.set(activity, frames);
    }
    frames.chain = this.#extend(frames.chain, ref, phase);
    if (frames.serials.length >= OPERATIONS_NESTING_MAX)
      refuseMore(OPERATIONS_NESTING_MAX, "operations on the graph inside one another");
    frames.serials.push(++this.#serials);
    this.#chains[ctx] = frames.chain;
  }

  /** The innermost frame ends in `ctx`. */
  end(ctx: number): void {
    const activity = this.activity(ctx);
    const frames = this.#open.get(activity);
    if (frames === undefined) return;
    frames.chain = (this.#frames[frames.chain] as ChainFrame).parent;
    frames.serials.pop();
    if (frames.serials.length === 0) this.#open.delete(activity);
    this.#chains[ctx] = frames.chain;
  }

  /** The frames of `chain`, innermost first. */
  framesOf(chain: number): ChainFrame[] {
    const frames: ChainFrame[] = [];
    for (let at = chain; at !== 0; at = (this.#frames[at] as ChainFrame).parent)
      frames.push(this.#frames[at] as ChainFrame);
    return frames;
  }

  #extend(parent: number, ref: number, phase: number): number {
    const key = `${parent} ${ref} ${phase}`;
    let chain = this.#children.get(key);
    if (chain === undefined) {
      if (this.#frames.length >= CHAINS_MAX) return 0;
      chain = this.#frames.length;
      assert(chain > parent, "a chain is longer than what it extends");
      this.#frames.push({ parent, ref, phase });
      this.#children.set(key, chain);
    }
    return chain;
  }

  #push(ctx: number, activity: number): void {
    let stack = this.#stacks[ctx];
    if (stack === undefined) {
      for (let i = this.#stacks.length; i <= ctx; i++) {
        this.#stacks.push([]);
        this.#chains.push(0);
      }
      stack = this.#stacks[ctx] as number[];
    }
    if (stack.length >= NESTING_MAX)
      refuseMore(NESTING_MAX, "handlers and coroutines inside one another");
    stack.push(activity);
    this.#chains[ctx] = this.#open.size === 0 ? 0 : (this.#open.get(activity)?.chain ?? 0);
  }

  #refresh(ctx: number): void {
    this.#chains[ctx] =
      this.#open.size === 0 ? 0 : (this.#open.get(this.activity(ctx))?.chain ?? 0);
  }
}
