// The memory from which encoder and decoder predict the next event; both keep it in step.
//
// Who runs is a context and a task. Each has a slot with its *history*: a hash of its last events. The history leads to a
// *row*: the event that followed it the last time, which is the prediction of the next one. So a request's events are
// predicted from its own past, however requests interleave. Numbers that never repeat (ids, counters) are predicted from
// *cells* instead, as predictors.ts says. docs/trace-format.md has the rules in full.
//
//   row (8 words):   kind | mask << 8   a   b   c   d   hash   -   -     a..d are 0 where a field is predicted from a cell

import { assert } from "#core/base";
import { ENTITY, FAMILIES, type FileKind, GLOBAL, HISTORY, KIND, TASK } from "./predictors.ts";

/** Histories are numbers below this. Of the demo, 13 bits make 0.58 bytes an event, 14 bits 0.53, 15 bits 0.52. */
export const HISTORIES = 1 << 14;
/** Words in a row, as a shift. */
export const ROW_SHIFT = 3;
/** The word of a row that holds what its event adds to the history. */
export const ROW_HASH = 5;
/** Slots of who runs: tasks modulo 256, then contexts that run no task, modulo 256 as well. */
const WHO_SLOTS = 512;
const ENTITIES = 256;
const KINDS = 256;

/** What an event's mask says was not as predicted. Integer slot n has the bit MISS_SLOT_0 << n. */
export const MISS_CTX = 1;
export const MISS_TASK = 2;
export const MISS_KIND = 4;
export const MISS_SLOT_0 = 8;
export const MISS_WIDE = 128;
/** Bits of what a row predicts. */
export const MISS_ROW = 0x7c;

/** Parts of `shapes`: the number of fields that are predicted from cells, and whether there is a wide one. */
export const SHAPE_CELLS = 7;
export const SHAPE_WIDE = 8;
/** The shape of a kind that the file does not describe. */
export const SHAPE_UNKNOWN = 255;

/** Numbers in `cellFields` for a kind, as a shift: one for each field that is predicted from a cell. */
export const CELL_KIND_SHIFT = 2;
/** Such a number, from bit 0: the first cell, what is added to it (a bit each), the integer slot (2 bits), the step. */
const CELL_FIRST = 0x3fff;
const CELL_OF_TASK_SHIFT = 14;
const CELL_OF_ENTITY_SHIFT = 15;
export const CELL_SLOT_SHIFT = 16;
export const CELL_SLOT = 3;
export const CELL_STEP_SHIFT = 18;

/** Where in `cells` the predictors keep what they know. */
const TASK_CELLS = KINDS * 4;
const GLOBAL_CELLS = TASK_CELLS + FAMILIES * WHO_SLOTS;
const ENTITY_CELLS = GLOBAL_CELLS + FAMILIES;
const CELLS = ENTITY_CELLS + FAMILIES * ENTITIES;
assert(CELLS <= CELL_FIRST + 1, "a cell's number fits its bits");

/** The memory; see the file comment. The hot loops use its arrays directly. */
export class PredictionModel {
  /** By kind: how many fields are predicted from cells, with SHAPE_WIDE. */
  readonly shapes = new Uint8Array(KINDS).fill(SHAPE_UNKNOWN);
  /** By kind: the fields that are predicted from cells, up to four; see CELL_FIRST. */
  readonly cellFields = new Int32Array(KINDS << CELL_KIND_SHIFT);
  /** By kind: bits of the mask, for integer slots that are predicted from the row. */
  readonly rowMasks = new Uint8Array(KINDS);
  /** By kind, four each: -1 for an integer slot that is predicted from the row, else 0. */
  readonly rowSlots = new Int32Array(KINDS * 4);
  readonly histories = new Int32Array(WHO_SLOTS);
  readonly rows = new Int32Array(HISTORIES << ROW_SHIFT);
  readonly cells = new Int32Array(CELLS);
  readonly wideOfWho = new Float64Array(WHO_SLOTS);
  readonly wideOfKind = new Float64Array(KINDS);
  ctx = 0;
  task = 0;
  /** The last task that was not 0. */
  lastTask = 0;

  constructor(kinds: readonly FileKind[]) {
    for (const kind of kinds) this.#describe(kind);
  }

  /** Forgets everything, as at the start of a file. */
  restart(): void {
    this.histories.fill(0);
    this.rows.fill(0);
    this.cells.fill(0);
    this.wideOfWho.fill(0);
    this.wideOfKind.fill(0);
    this.ctx = 0;
    this.task = 0;
    this.lastTask = 0;
  }

  #describe(kind: FileKind): void {
    if (kind.id >= KINDS) throw new RangeError("a kind's number is too high");
    let shape = 0;
    for (const { slot, predictor, family, step } of kind.fields) {
      if (slot > 4 || family >= FAMILIES) throw new RangeError("a field is out of range");
      if (slot === 4) {
        shape |= SHAPE_WIDE;
      } else if (predictor === HISTORY) {
        this.rowSlots[kind.id * 4 + slot] = -1;
        this.rowMasks[kind.id] = (this.rowMasks[kind.id] as number) | (MISS_SLOT_0 << slot);
      } else {
        const count = shape & SHAPE_CELLS;
        if (count === 4) throw new RangeError("a kind has too many fields");
        const what = (slot << CELL_SLOT_SHIFT) | (step << CELL_STEP_SHIFT);
        if (what >> CELL_STEP_SHIFT !== step) throw new RangeError("a step is out of range");
        const place = placeOf(predictor, family, kind.id, slot);
        this.cellFields[(kind.id << CELL_KIND_SHIFT) + count] = place | what;
        shape++;
      }
    }
    this.shapes[kind.id] = shape;
  }
}

/** The place of a field as `cellFields` has it: its first cell and what is added to that. */
function placeOf(predictor: number, family: number, kind: number, slot: number): number {
  switch (predictor) {
    case KIND:
      return kind * 4 + slot;
    case TASK:
      return (TASK_CELLS + family * WHO_SLOTS) | (1 << CELL_OF_TASK_SHIFT);
    case GLOBAL:
      return GLOBAL_CELLS + family;
    case ENTITY:
      return (ENTITY_CELLS + family * ENTITIES) | (1 << CELL_OF_ENTITY_SHIFT);
    default:
      throw new RangeError("a predictor is not known");
  }
}

/** The cell of a field of `cellFields`, in an event of `who` whose slot 0 is `a`. */
export function cellOf(field: number, who: number, a: number): number {
  const ofTask = who & -((field >> CELL_OF_TASK_SHIFT) & 1);
  const ofEntity = a & -((field >> CELL_OF_ENTITY_SHIFT) & 1) & (ENTITIES - 1);
  return (field & CELL_FIRST) + ofTask + ofEntity;
}

/** The slot of who runs. */
export function whoSlot(ctx: number, task: number): number {
  return task === 0 ? 256 + (ctx & 255) : task & 255;
}

/** What an event adds to the history of who ran: odd numbers without a pattern. */
export function eventHash(kind: number, a: number, b: number, c: number, d: number): number {
  return (
    Math.imul(kind, 0x9e35) ^
    Math.imul(a, 0x6d2b) ^
    Math.imul(b, 0x3c6f) ^
    Math.imul(c, 0x5851) ^
    Math.imul(d, 0x4f2d)
  );
}

/** The history after an event. The shift lets it matter for the next seven (14 bits / 2). */
export function nextHistory(history: number, hash: number): number {
  return ((history << 2) ^ hash) & (HISTORIES - 1);
}
