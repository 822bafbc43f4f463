// The coverage table: for each list, reader and editor, how many pairs came out how. Rows are found by number while the
// events go by and get their names at the end (describe.ts).

import { refuseMore } from "../bounds.ts";
import { ROWS_MAX } from "../limits.ts";
import type { Section } from "../model/sections.ts";
import type { Label } from "../order/full.ts";

/** Covering sections of a row are told apart by their function and kind. */
export interface CoveringDraft {
  readonly site: number;
  readonly kind: number;
  count: number;
}

export class RowDraft {
  readonly list: number;
  readonly reader: number;
  readonly readerIsEdit: boolean;
  readonly editor: number;
  /** Chain of operations around the editor; rows are merged by its innermost one at the end. */
  readonly chain: number;
  readonly covered: CoveringDraft[] = [];
  sanctioned = 0;
  readonly luck = new Map<Label, number>();
  race = 0;

  constructor(list: number, reader: number, readerIsEdit: boolean, editor: number, chain: number) {
    this.list = list;
    this.reader = reader;
    this.readerIsEdit = readerIsEdit;
    this.editor = editor;
    this.chain = chain;
  }

  cover(section: Section, count: number): void {
    const found = this.covered.find(
      (entry) => entry.site === section.site && entry.kind === section.kind,
    );
    if (found === undefined) this.covered.push({ site: section.site, kind: section.kind, count });
    else found.count += count;
  }

  lucky(label: Label, count: number): void {
    this.luck.set(label, (this.luck.get(label) ?? 0) + count);
  }
}

export class Tally {
  readonly #rows = new Map<string, RowDraft>();

  row(
    list: number,
    reader: number,
    readerIsEdit: boolean,
    editor: number,
    chain: number,
  ): RowDraft {
    const key = `${list} ${reader} ${readerIsEdit ? 1 : 0} ${editor} ${chain}`;
    let row = this.#rows.get(key);
    if (row === undefined) {
      if (this.#rows.size >= ROWS_MAX) refuseMore(ROWS_MAX, "pairs of readers and editors");
      row = new RowDraft(list, reader, readerIsEdit, editor, chain);
      this.#rows.set(key, row);
    }
    return row;
  }

  /**
   * What the sanctioned order alone made a race of, `full` has told apart; the rest of that, and of its own pairs, is as this
   * table has it: a pair that the protocol orders, or of an object that nobody else could see, is "sanctioned" here.
   */
  adopt(full: Tally): void {
    for (const row of this.#rows.values()) {
      row.sanctioned += row.race;
      row.race = 0;
    }
    for (const { list, reader, readerIsEdit, editor, chain, race, luck } of full.rows()) {
      const row = this.row(list, reader, readerIsEdit, editor, chain);
      row.race = race;
      row.sanctioned -= race;
      for (const [label, count] of luck) {
        row.lucky(label, count);
        row.sanctioned -= count;
      }
    }
  }

  rows(): RowDraft[] {
    return [...this.#rows.values()];
  }
}
