// The progress line: one line on stderr that overwrites itself, on a terminal only. In a pipe or under CI it is silent.

import type { Terminal } from "./terminal.ts";

const REDRAW_MS = 80;
const CLEAR_LINE = "\r\u001b[2K";

export class Progress {
  readonly #terminal: Terminal;
  readonly #shown: boolean;
  #lastDrawn = 0;
  #drawn = false;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
    this.#shown = terminal.stderr.isTTY === true && !process.env.CI && process.env.TERM !== "dumb";
  }

  /** Show `text`, at most a dozen times a second. */
  show(text: string): void {
    const now = Date.now();
    if (!this.#shown || now - this.#lastDrawn < REDRAW_MS) return;
    this.#lastDrawn = now;
    this.#draw(text);
  }

  /** Show `text` now: what follows may keep the process busy for a while. */
  showNow(text: string): void {
    if (this.#shown) this.#draw(text);
  }

  /** Take the line away, before anything else is printed. */
  clear(): void {
    if (this.#drawn) this.#terminal.stderr.write(CLEAR_LINE);
    this.#drawn = false;
  }

  #draw(text: string): void {
    const columns = this.#terminal.stderr.columns || 80;
    this.#terminal.stderr.write(`${CLEAR_LINE}${text.slice(0, columns - 1)}`);
    this.#drawn = true;
  }
}
