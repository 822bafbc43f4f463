// Which blocks of the program have run, as V8 counts them: what an input reached that none did before.

import inspector from "node:inspector";

/** From `start` to `stop`. */
export class Coverage {
  readonly #session = new inspector.Session();
  readonly #seen = new Set<string>();
  #isStarted = false;
  readonly #isOurs: (url: string) => boolean;

  /** `isOurs` says by the address of a file whether it counts. */
  constructor(isOurs: (url: string) => boolean) {
    this.#isOurs = isOurs;
  }

  start(): void {
    this.#isStarted = true;
    this.#session.connect();
    this.#session.post("Profiler.enable");
    this.#session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });
  }

  stop(): void {
    this.#session.post("Profiler.stopPreciseCoverage");
    this.#session.disconnect();
  }

  get blocks(): number {
    return this.#seen.size;
  }

  /** Blocks that ran since the last call, and never before that. */
  news(): number {
    const before = this.#seen.size;
    if (!this.#isStarted) return 0;
    // V8 counts from zero again after each answer, which comes before `post` returns. (Without counts it names a function once, and
    // never says that another block of it has run.)
    this.#session.post("Profiler.takePreciseCoverage", (error, taken) => {
      if (error !== null) throw error;
      for (const { url, functions } of taken.result) {
        if (!this.#isOurs(url)) continue;
        for (const { ranges } of functions) {
          for (const { startOffset, endOffset, count } of ranges)
            if (count > 0) this.#seen.add(`${url}:${startOffset}:${endOffset}`);
        }
      }
    });
    return this.#seen.size - before;
  }
}
