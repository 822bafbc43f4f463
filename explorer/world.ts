// What a scenario has besides the core: its seed, its parameters, image paths, iothreads, guests and a note-book.
//
// A guest is a coroutine in an iothread. `joinGuests` waits at thread level, in the main context, until all guests have ended, and
// polls meanwhile, so that main can serve bottom halves. Guests end by themselves: each does a number of requests.

import { assert, must, type Prng, QuiesceError, type VirtualNs } from "#core/base";
import { Ev, site } from "#core/probe";
import {
  type AioContext,
  aioCoEnter,
  aioPoll,
  aioWaitKick,
  aioWaitWhileUnlocked,
  type Co,
  clockNs,
  iothreadCreate,
  iothreadStopJoin,
  machine,
  type Polls,
  qemuCoroutineCreate,
  timerMod,
  timerNew,
} from "#core/sched";
import type { ExternalClients } from "./external-clients.ts";
import type { InvariantChecker } from "./invariants/index.ts";
import { streamOf } from "./streams.ts";

const JOIN = site("world_join");
const SETTLE = site("world_settle");

/** What a world is made of. */
export interface WorldParts {
  readonly seed: number;
  readonly params: Readonly<Record<string, string>>;
  /** Folder of the images; it may be anything in a simulation, and nothing is read from it in replay. */
  readonly imagesDir: string;
  readonly clients: ExternalClients;
  /** The checker of this run; null when nobody checks. */
  readonly checker?: InvariantChecker | null;
}

export class World {
  readonly seed: number;
  /** For the scenario to draw from. Fork it for each guest, so that guests do not move one another's numbers. */
  readonly prng: Prng;
  readonly clients: ExternalClients;
  readonly checker: InvariantChecker | null;
  readonly #params: Readonly<Record<string, string>>;
  readonly #imagesDir: string;
  readonly #iothreads: AioContext[] = [];
  #guests = 0;

  constructor(parts: WorldParts) {
    this.seed = parts.seed;
    this.prng = streamOf(parts.seed, "scenario");
    this.clients = parts.clients;
    this.checker = parts.checker ?? null;
    this.#params = parts.params;
    this.#imagesDir = parts.imagesDir;
  }

  /** The value of a parameter, which the scenario has declared. */
  param(name: string): string {
    return must(this.#params[name], "a scenario reads the parameters that it declares");
  }

  /** A parameter that is a number. */
  number(name: string): number {
    const text = this.param(name);
    const value = Number(text);
    if (!Number.isSafeInteger(value) || value < 0)
      throw new QuiesceError("usage", `The parameter ${name} is a whole number, not "${text}".`);
    return value;
  }

  /** Path of an image. It never gets into the trace. */
  imagePath(name: string): string {
    return `${this.#imagesDir}/${name}`;
  }

  /** A remark in the trace, for people. */
  note(text: string): void {
    machine.probe.emit(Ev.note, machine.probe.intern(text));
  }

  /** An iothread, which `stopIothreads` will stop. */
  iothread(name: string): AioContext {
    const ctx = iothreadCreate(name);
    this.#iothreads.push(ctx);
    return ctx;
  }

  /** Start a guest in `ctx`. */
  guest(ctx: AioContext, body: () => Co<void>): void {
    this.#guests++;
    const co = qemuCoroutineCreate(
      function* (this: World): Co<void> {
        yield* body();
        this.#guests--;
        aioWaitKick();
      }.bind(this),
    );
    aioCoEnter(ctx, co);
  }

  /** How many guests have not ended. */
  get guestsRunning(): number {
    return this.#guests;
  }

  /** Wait until all guests have ended. Polls. */
  *joinGuests(): Polls<void> {
    assert(machine.currentContext === machine.mainContext, "main waits for the guests");
    yield* aioWaitWhileUnlocked(null, () => this.#guests > 0, JOIN);
  }

  /** Let `ns` nanoseconds go by in the main context, which serves its loop meanwhile; others run. Polls. */
  *sleep(ns: number): Polls<void> {
    let isOver = false;
    const timer = timerNew(machine.mainContext, () => {
      isOver = true;
      return undefined;
    });
    timerMod(timer, (clockNs() + ns) as VirtualNs);
    while (!isOver) yield* aioPoll(machine.mainContext, true);
  }

  /** Wait, in main, until `condition` holds; whoever makes it true must kick. Polls. */
  *until(condition: () => boolean): Polls<void> {
    yield* aioWaitWhileUnlocked(null, () => !condition(), SETTLE);
  }

  /** Stop every iothread of this world and join it. Polls. */
  *stopIothreads(): Polls<void> {
    for (const ctx of this.#iothreads.splice(0)) yield* iothreadStopJoin(ctx);
  }
}
