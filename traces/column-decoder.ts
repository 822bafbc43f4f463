// The columns of a chunk to events: the inverse of column-encoder.ts, and what the speed of every reader depends on.
//
// Budget: 20 ns an event (bench/recording.ts). An event that is wholly as predicted costs no byte and takes the straight path;
// `!` and single letters are allowed in its loop. A chunk is decoded in strips, in calls of their own: one long loop would
// be compiled while it runs for the first time, before the engine has seen what follows it, and again each time it ends.

import { type EventBatch, WORLD_CTX } from "#core/probe";
import { contextEscape, contextMax } from "./limits.ts";
import * as model from "./model.ts";
import type { FileKind } from "./predictors.ts";
import { ColumnReader } from "./varint.ts";
import { MessageFields } from "./wire.ts";

// Constants of this module are part of the compiled code; those of another are fetched each time (2 ns an event).
const { MISS_CTX, MISS_TASK, MISS_KIND, MISS_ROW, MISS_SLOT_0, MISS_WIDE } = model;
const { ROW_SHIFT, ROW_HASH, SHAPE_CELLS, SHAPE_WIDE, SHAPE_UNKNOWN } = model;
const { CELL_KIND_SHIFT, CELL_SLOT_SHIFT, CELL_SLOT, CELL_STEP_SHIFT } = model;
const { cellOf, eventHash, nextHistory, whoSlot } = model;

/** Events in a strip. */
const STRIP_EVENTS = 128;

/** Decodes the chunks of one file, in order. */
export class ColumnDecoder {
  readonly #model: model.PredictionModel;
  #columns = new Columns(new Uint8Array());
  /** How many of the next events have the mask that their row predicts. */
  #asPredicted = 0;

  constructor(kinds: readonly FileKind[]) {
    this.#model = new model.PredictionModel(kinds);
  }

  /** Fills `batch` with the `events` events of a chunk; throws RangeError when `columns` cannot be a chunk's. */
  decode(columns: Uint8Array, events: number, restart: boolean, batch: EventBatch): void {
    if (restart) this.#model.restart();
    this.#columns = new Columns(columns);
    this.#asPredicted = this.#columns.masks.uint();
    for (let from = 0; from < events; from += STRIP_EVENTS) {
      this.#decodeStrip(from, Math.min(events, from + STRIP_EVENTS), batch);
    }
    if (this.#asPredicted !== 0) throw new RangeError("its masks do not fit its events");
    if (!this.#columns.atEnd) throw new RangeError("its columns do not fit its events");
    batch.count = events;
  }

  #decodeStrip(from: number, to: number, batch: EventBatch): void {
    // hot loop
    const { histories, rows, rowMasks, shapes, cells, cellFields } = this.#model;
    const { masks, kinds, values } = this.#columns;
    const { ints, floats } = batch;
    let { ctx, task } = this.#model;
    let who = whoSlot(ctx, task);
    let history = histories[who]!;
    let asPredicted = this.#asPredicted;
    for (let i = from; i < to; i++) {
      let row = history << ROW_SHIFT;
      let head = rows[row]!;
      if (asPredicted > 0) {
        asPredicted--;
      } else {
        head = (head & 0xff) | (masks.byte() << 8);
        rows[row] = head;
        asPredicted = masks.uint();
      }
      const mask = head >>> 8;
      if ((mask & (MISS_CTX | MISS_TASK)) !== 0) {
        histories[who] = history;
        who = this.#switchWho(mask);
        ctx = this.#model.ctx;
        task = this.#model.task;
        history = histories[who]!;
        row = history << ROW_SHIFT;
        head = rows[row]!;
      }
      if ((mask & MISS_ROW) !== 0) {
        if ((mask & MISS_KIND) !== 0) rows[row] = head = (head & 0xff00) | kinds.byte();
        if ((mask & (MISS_KIND | rowMasks[head & 0xff]!)) !== 0) this.#correctRow(row, mask);
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
      history = nextHistory(history, rows[row + ROW_HASH]!);
      const shape = shapes[kind]!;
      if (shape === SHAPE_UNKNOWN) throw new RangeError("a kind of event is not described");
      let f = kind << CELL_KIND_SHIFT;
      for (let left = shape & SHAPE_CELLS; left > 0; left--) {
        const field = cellFields[f++]!;
        const cell = cellOf(field, who, a);
        const slot = (field >> CELL_SLOT_SHIFT) & CELL_SLOT;
        let value = (cells[cell]! + (field >> CELL_STEP_SHIFT)) | 0;
        if ((mask & (MISS_SLOT_0 << slot)) !== 0) value = (value + values.sint()) | 0;
        cells[cell] = value;
        ints[base + 2 + slot] = value;
      }
      const isWide = (shape & SHAPE_WIDE) !== 0;
      floats[(i << 2) + 3] = isWide ? this.#decodeWide(kind, who, mask) : 0;
    }
    this.#asPredicted = asPredicted;
    histories[who] = history;
  }

  /** Reads who runs from here on, and returns their slot. */
  #switchWho(mask: number): number {
    const memory = this.#model;
    if ((mask & MISS_CTX) !== 0) {
      const byte = this.#columns.contexts.byte();
      memory.ctx = byte === contextEscape ? this.#manyContexts() : byte;
    }
    if ((mask & MISS_TASK) !== 0) {
      const code = this.#columns.tasks.uint();
      const zigzag = (code - 1) >>> 0;
      if (code === 0) memory.task = 0;
      else memory.task = (memory.lastTask + ((zigzag >>> 1) ^ -(zigzag & 1))) | 0;
      if (code !== 0) memory.lastTask = memory.task;
    }
    return whoSlot(memory.ctx, memory.task);
  }

  /** The number of a context that a byte does not hold. */
  #manyContexts(): number {
    const ctx = this.#columns.contexts.uint();
    if (ctx > contextMax) throw new RangeError("the number of a context is too high");
    if (ctx < contextEscape || ctx === WORLD_CTX)
      throw new RangeError("the number of a context is written at more length than it needs");
    return ctx;
  }

  #decodeWide(kind: number, who: number, mask: number): number {
    // hot loop
    const { wideOfWho, wideOfKind } = this.#model;
    const isMissed = (mask & MISS_WIDE) !== 0;
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
      else if ((mask & (MISS_SLOT_0 << slot)) !== 0) {
        rows[word] = rows[word]! + this.#columns.values.sint();
      }
    }
    const [a, b, c, d] = [rows[row + 1]!, rows[row + 2]!, rows[row + 3]!, rows[row + 4]!];
    rows[row + ROW_HASH] = eventHash(kind, a, b, c, d);
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
