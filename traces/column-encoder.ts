// Events to the columns of a chunk: for each event a mask of what was not as predicted, and only that is written.
//
// Columns: the masks that differ from the row's (each behind the number of events whose mask did not), contexts, tasks,
// kinds, values of integer fields, values of wide fields. Off the recorder's hot path, but on its thread: `!` and single
// letters are allowed in the loop.

import { assert } from "#core/base";
import { type EventBatch, WORLD_CTX } from "#core/probe";
import { contextEscape } from "./limits.ts";
import * as model from "./model.ts";
import { CATALOGUE_KINDS } from "./predictors.ts";
import { ColumnWriter } from "./varint.ts";
import { MessageWriter } from "./wire.ts";

// Constants of this module are part of the compiled code; those of another are fetched each time.
const { MISS_CTX, MISS_TASK, MISS_KIND, MISS_SLOT_0, MISS_WIDE } = model;
const { ROW_SHIFT, SHAPE_CELLS, SHAPE_WIDE, SHAPE_UNKNOWN } = model;
const { CELL_KIND_SHIFT, CELL_SLOT_SHIFT, CELL_SLOT, CELL_STEP_SHIFT } = model;
const { cellOf, eventHash, nextHistory, whoSlot } = model;

/** Encodes the chunks of one file, in order. */
export class ColumnEncoder {
  readonly #model = new model.PredictionModel(CATALOGUE_KINDS);
  readonly #masks = new ColumnWriter();
  readonly #contexts = new ColumnWriter();
  readonly #tasks = new ColumnWriter();
  readonly #kinds = new ColumnWriter();
  readonly #values = new ColumnWriter();
  readonly #wides = new ColumnWriter();

  /** The columns of a chunk that holds the events of `batch`. */
  encode(batch: EventBatch, restart: boolean): Uint8Array {
    const columns = [this.#masks, this.#contexts, this.#tasks];
    columns.push(this.#kinds, this.#values, this.#wides);
    for (const column of columns) column.clear();
    if (restart) this.#model.restart();
    this.#encodeEvents(batch);
    const message = new MessageWriter();
    for (const [index, column] of columns.entries()) message.bytes(index + 1, column.bytes());
    return message.finish();
  }

  #encodeEvents(batch: EventBatch): void {
    // hot loop
    const { histories, rows, rowSlots, shapes } = this.#model;
    const { ints, floats } = batch;
    let { ctx, task } = this.#model;
    let who = whoSlot(ctx, task);
    let history = histories[who]!;
    let asPredicted = 0;
    for (let i = 0; i < batch.count; i++) {
      const base = i << 3;
      const kind = ints[base]! & 0xff;
      const maskRow = history << ROW_SHIFT;
      let mask = 0;
      if (ints[base]! >>> 8 !== ctx || ints[base + 1] !== task) {
        histories[who] = history;
        mask = this.#switchWho(ints[base]! >>> 8, ints[base + 1]!);
        ctx = this.#model.ctx;
        task = this.#model.task;
        who = whoSlot(ctx, task);
        history = histories[who]!;
      }
      const row = history << ROW_SHIFT;
      if ((rows[row]! & 0xff) !== kind) {
        mask |= MISS_KIND;
        this.#kinds.byte(kind);
        rows[row] = (rows[row]! & 0xff00) | kind;
      }
      const shape = shapes[kind]!;
      assert(shape !== SHAPE_UNKNOWN, "every event is of a kind in the catalogue");
      const slots = kind << 2;
      const a = ints[base + 2]! & rowSlots[slots]!;
      const b = ints[base + 3]! & rowSlots[slots + 1]!;
      const c = ints[base + 4]! & rowSlots[slots + 2]!;
      const d = ints[base + 5]! & rowSlots[slots + 3]!;
      if (a !== rows[row + 1]) mask |= this.#correctSlot(row, 0, a, rowSlots[slots]!);
      if (b !== rows[row + 2]) mask |= this.#correctSlot(row, 1, b, rowSlots[slots + 1]!);
      if (c !== rows[row + 3]) mask |= this.#correctSlot(row, 2, c, rowSlots[slots + 2]!);
      if (d !== rows[row + 4]) mask |= this.#correctSlot(row, 3, d, rowSlots[slots + 3]!);
      history = nextHistory(history, eventHash(kind, a, b, c, d));
      if (shape !== 0) {
        mask |= this.#encodeCells(ints, base, kind, who, a);
        if ((shape & SHAPE_WIDE) !== 0) mask |= this.#encodeWide(floats[(i << 2) + 3]!, kind, who);
      }
      if (mask === rows[maskRow]! >>> 8) {
        asPredicted++;
      } else {
        this.#masks.uint(asPredicted);
        this.#masks.byte(mask);
        asPredicted = 0;
        rows[maskRow] = (rows[maskRow]! & 0xff) | (mask << 8);
      }
    }
    this.#masks.uint(asPredicted);
    histories[who] = history;
  }

  /** Writes who runs from here on; returns the mask's bits. */
  #switchWho(ctx: number, task: number): number {
    const memory = this.#model;
    let mask = 0;
    if (ctx !== memory.ctx) {
      mask |= MISS_CTX;
      const isByte = ctx < contextEscape || ctx === WORLD_CTX;
      this.#contexts.byte(isByte ? ctx : contextEscape);
      if (!isByte) this.#contexts.uint(ctx);
      memory.ctx = ctx;
    }
    if (task === memory.task) return mask;
    assert(task >= 0, "a task's number is not negative");
    if (task === 0) {
      this.#tasks.uint(0);
    } else {
      const difference = task - memory.lastTask;
      this.#tasks.uint((((difference << 1) ^ (difference >> 31)) >>> 0) + 1);
      memory.lastTask = task;
    }
    memory.task = task;
    return mask | MISS_TASK;
  }

  /** Brings slot `slot` of a row up to `value`; returns the mask's bit if that takes writing. */
  #correctSlot(row: number, slot: number, value: number, isRowSlot: number): number {
    // hot loop
    const { rows } = this.#model;
    const word = row + 1 + slot;
    const difference = value - rows[word]!;
    rows[word] = value;
    // The row of another kind may hold a number where this kind has none: the decoder knows.
    if (isRowSlot === 0) return 0;
    this.#values.sint(difference | 0);
    return MISS_SLOT_0 << slot;
  }

  /** The integer fields that are predicted from cells; returns the mask's bits. */
  #encodeCells(ints: Int32Array, base: number, kind: number, who: number, a: number): number {
    // hot loop
    const { cells, cellFields, shapes } = this.#model;
    let mask = 0;
    let f = kind << CELL_KIND_SHIFT;
    for (let left = shapes[kind]! & SHAPE_CELLS; left > 0; left--) {
      const field = cellFields[f++]!;
      const cell = cellOf(field, who, a);
      const slot = (field >> CELL_SLOT_SHIFT) & CELL_SLOT;
      const predicted = (cells[cell]! + (field >> CELL_STEP_SHIFT)) | 0;
      const value = ints[base + 2 + slot]!;
      if (value !== predicted) {
        mask |= MISS_SLOT_0 << slot;
        this.#values.sint((value - predicted) | 0);
      }
      cells[cell] = value;
    }
    return mask;
  }

  /** The wide field; returns the mask's bit. */
  #encodeWide(value: number, kind: number, who: number): number {
    // hot loop
    const { wideOfWho, wideOfKind } = this.#model;
    assert(Number.isSafeInteger(value), "a wide number is a safe integer");
    const asPredicted = value === wideOfWho[who];
    if (!asPredicted) this.#wides.wide(value, wideOfKind[kind]!);
    wideOfWho[who] = value;
    wideOfKind[kind] = value;
    return asPredicted ? 0 : MISS_WIDE;
  }
}
