// For tests of the explorer without a recorder: a probe that keeps every event as a line of text.

import { LAYOUTS, ProbeBase, WIDE_SLOT } from "#core/probe";

/** Keeps every event as `context/task name field=value ...`. */
export class LineProbe extends ProbeBase {
  readonly lines: string[] = [];

  override emit(kind: number, ...args: number[]): void {
    this.#add(kind, args, 0);
  }

  override emitWide(kind: number, wide: number, ...args: number[]): void {
    this.#add(kind, args, wide);
  }

  /** The lines of events called `name`, without who emitted them. */
  named(name: string): string[] {
    return this.lines.flatMap((line) => {
      const at = line.indexOf(" ") + 1;
      return line.startsWith(`${name} `, at) ? [line.slice(at)] : [];
    });
  }

  #add(kind: number, args: readonly number[], wide: number): void {
    const layout = LAYOUTS[kind];
    if (layout === undefined) throw new Error("every event is in the catalogue");
    const fields = layout.fields.map(
      ({ name, slot }) => `${name}=${slot === WIDE_SLOT ? wide : args[slot]}`,
    );
    this.lines.push(`${this.ctx}/${this.task} ${[layout.name, ...fields].join(" ")}`);
  }
}
