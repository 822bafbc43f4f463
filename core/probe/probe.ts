// The sink interface: where the core's events go. The recorder (tracer), the replayer's checker (replay) and the null
// probe implement it. Its fields `ctx` and `task` are who runs now; the machine (core/sched) keeps them true.

import type { StringId } from "../base/index.ts";
import { type EventArgs, type NarrowKind, type WideKind, WORLD_CTX } from "./catalogue.ts";

/** What the core emits to. `emit` takes the fields of the kind in the order of the catalogue. */
export interface Probe {
  /** Context that runs now, WORLD_CTX between steps. Written by the machine only. */
  ctx: number;
  /** Request task that runs now, 0 for none. Written by the machine only. */
  task: number;
  emit<K extends NarrowKind>(kind: K, ...args: EventArgs<K>): void;
  /** As `emit`, for kinds with a wide field, which comes first. */
  emitWide<K extends WideKind>(kind: K, wide: number, ...args: EventArgs<K>): void;
  /** Whether anybody wants more than inputs: then every step of a request leaves its events. */
  readonly observes: boolean;
  /** The string-table index of `text`; equal texts give equal indices. Not for hot paths. */
  intern(text: string): StringId;
}

/** What implements Probe: the same two methods with the arguments as slots, since no class can state the typed form. */
export abstract class ProbeBase {
  ctx = WORLD_CTX;
  task = 0;
  readonly observes: boolean;
  readonly strings: string[] = [""];
  readonly #ids = new Map<string, StringId>([["", 0 as StringId]]);

  constructor(observes = true) {
    this.observes = observes;
  }

  abstract emit(kind: number, a?: number, b?: number, c?: number, d?: number): void;
  abstract emitWide(
    kind: number,
    wide: number,
    a?: number,
    b?: number,
    c?: number,
    d?: number,
  ): void;

  intern(text: string): StringId {
    let id = this.#ids.get(text);
    if (id === undefined) {
      id = this.strings.length as StringId;
      this.strings.push(text);
      this.#ids.set(text, id);
    }
    return id;
  }
}

/** `base` as the core sees it: the compiler checks the arguments of each kind against the catalogue. */
export function typedProbe(base: ProbeBase): Probe {
  return base as unknown as Probe;
}

/** Records nothing: the cost of a probe that is off. */
export class NullProbe extends ProbeBase {
  constructor() {
    super(false);
  }

  override emit(): void {}
  override emitWide(): void {}
}
