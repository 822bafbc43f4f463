// The columns of a chunk to events: the inverse of column-encoder.ts, and what the speed of every reader depends on.
//
// Budget: 30 ns an event (bench/recording.ts). An event that is wholly as predicted costs no byte and takes the straight path;
// `!` and single letters are allowed in its loop.

import type { EventBatch } from "#core/probe";
import * as model from "./model.ts";
import type { FileKind } from "./predictors.ts";
import { ColumnReader } from "./varint.ts";
import { MessageFields } from "./wire.ts";

/** Decodes the chunks of one file, in order. */
export class ColumnDecoder {
  readonly #model: model.PredictionModel;
  #columns = new Columns(new Uint8Array());

  constructor(kinds: readonly FileKind[]) {
    this.#model = new model.PredictionModel(kinds);
  }

  /** Fills `batch` with the `events` events of a chunk; throws RangeError when `columns` cannot be a chunk's. */
  decode(columns: Uint8Array, events: number, restart: boolean, batch: EventBatch): void {
    if (restart) this.#model.restart();
    this.#columns = new Columns(columns);
    this.#decodeEvents(events, batch);
    if (!this.#columns.atEnd) throw new RangeError("its columns do not fit its events");
    batch.count = events;
  }

  #decodeEvents(events: number, batch: EventBatch): void {
    // hot loop
    const { histories, rows, shapes, cells, cellFields } = this.#model;
    const { masks, kinds, values } = this.#columns;
    const { ints, floats } = batch;
    let { ctx, task } = this.#model;
    let who = model.whoSlot(ctx, task);
    let history = histories[who]!;
    let asPredicted = masks.uint();
    for (let i = 0; i < events; i++) {
      let row = history << model.ROW_SHIFT;
      let head = rows[row]!;
      if (asPredicted > 0) {
        asPredicted--;
      } else {
        head = (head & 0xff) | (masks.byte() << 8);
        rows[row] = head;
        asPredicted = masks.uint();
      }
      const mask = head >>> 8;
      if ((mask & (model.MISS_CTX | model.MISS_TASK)) !== 0) {
        histories[who] = history;
        who = this.#switchWho(mask);
        ctx = this.#model.ctx;
        task = this.#model.task;
        history = histories[who]!;
        row = history << model.ROW_SHIFT;
        head = rows[row]!;
      }
      if ((mask & model.MISS_ROW) !== 0) {
        if ((mask & model.MISS_KIND) !== 0) head = (head & 0xff00) | kinds.byte();
        rows[row] = head;
        this.#correctRow(row, mask);
      }
      const kind = head & 0xff;
      const base = i << 3;
      const a = rows[row + 1]!;
      ints[base] = kind | (ctx << 8);
      ints[base + 1] = task;
      ints[base + 2] = a;
      ints[base + 3] = rows[row + 2]!;
      ints[base + 4] = rows[row + 3]!;
      ints[base + 5] = rows[row + 4]!;
      history = model.nextHistory(history, rows[row + model.ROW_HASH]!);
      const shape = shapes[kind]!;
      if (shape === model.SHAPE_UNKNOWN) throw new RangeError("a kind of event is not described");
      const field = kind << model.CELL_KIND_SHIFT;
      const end = field + ((shape & model.SHAPE_CELLS) << model.CELL_FIELD_SHIFT);
      for (let f = field; f < end; f += 1 << model.CELL_FIELD_SHIFT) {
        const place =
          (who & cellFields[f + model.CELL_WHO_BITS]!) +
          (a & cellFields[f + model.CELL_ENTITY_BITS]!);
        const cell = cellFields[f]! + place;
        let value = (cells[cell]! + cellFields[f + model.CELL_STEP]!) | 0;
        if ((mask & cellFields[f + model.CELL_MISS]!) !== 0) value = (value + values.sint()) | 0;
        cells[cell] = value;
        ints[base + cellFields[f + model.CELL_WORD]!] = value;
      }
      const isWide = (shape & model.SHAPE_WIDE) !== 0;
      floats[(i << 2) + 3] = isWide ? this.#decodeWide(kind, who, mask) : 0;
    }
    if (asPredicted !== 0) throw new RangeError("its masks do not fit its events");
    histories[who] = history;
  }

  /** Reads who runs from here on, and returns their slot. */
  #switchWho(mask: number): number {
    const memory = this.#model;
    if ((mask & model.MISS_CTX) !== 0) memory.ctx = this.#columns.contexts.byte();
    if ((mask & model.MISS_TASK) !== 0) {
      const code = this.#columns.tasks.uint();
      const zigzag = (code - 1) >>> 0;
      if (code === 0) memory.task = 0;
      else memory.task = (memory.lastTask + ((zigzag >>> 1) ^ -(zigzag & 1))) | 0;
      if (code !== 0) memory.lastTask = memory.task;
    }
    return model.whoSlot(memory.ctx, memory.task);
  }

  #decodeWide(kind: number, who: number, mask: number): number {
    // hot loop
    const { wideOfWho, wideOfKind } = this.#model;
    const isMissed = (mask & model.MISS_WIDE) !== 0;
    const wide = isMissed ? this.#columns.wides.wide(wideOfKind[kind]!) : wideOfWho[who]!;
    wideOfWho[who] = wide;
    wideOfKind[kind] = wide;
    return wide;
  }

  /** Brings the slots a to d of a row, and its hash, up to what the event has. */
  #correctRow(row: number, mask: number): void {
    // hot loop
    const { rows, rowSlots } = this.#model;
    const kind = rows[row]! & 0xff;
    for (let slot = 0; slot < 4; slot++) {
      const word = row + 1 + slot;
      if (rowSlots[kind * 4 + slot] === 0) rows[word] = 0;
      else if ((mask & (model.MISS_SLOT_0 << slot)) !== 0) {
        rows[word] = rows[word]! + this.#columns.values.sint();
      }
    }
    const [a, b, c, d] = [rows[row + 1]!, rows[row + 2]!, rows[row + 3]!, rows[row + 4]!];
    rows[row + model.ROW_HASH] = model.eventHash(kind, a, b, c, d);
  }
}

/** The columns of a chunk, each with its cursor. */
class Columns {
  readonly masks: ColumnReader;
  readonly contexts: ColumnReader;
  readonly tasks: ColumnReader;
  readonly kinds: ColumnReader;
  readonly values: ColumnReader;
  readonly wides: ColumnReader;

  constructor(bytes: Uint8Array) {
    const message = new MessageFields(bytes);
    this.masks = new ColumnReader(message.bytes(1));
    this.contexts = new ColumnReader(message.bytes(2));
    this.tasks = new ColumnReader(message.bytes(3));
    this.kinds = new ColumnReader(message.bytes(4));
    this.values = new ColumnReader(message.bytes(5));
    this.wides = new ColumnReader(message.bytes(6));
  }

  get atEnd(): boolean {
    const columns = [this.masks, this.contexts, this.tasks, this.kinds, this.values, this.wides];
    return columns.every((column) => column.atEnd);
  }
}
