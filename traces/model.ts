// The memory from which encoder and decoder predict the next event; both keep it in step.
//
// Who runs is a context and a task. Each has a slot with its *history*: a hash of its last events. The history leads to a
// *row*: the event that followed it the last time, which is the prediction of the next one. So a request's events are
// predicted from its own past, however requests interleave. Numbers that never repeat (ids, counters) are predicted from
// *cells* instead, as predictors.ts says. docs/trace-format.md has the rules in full.
//
//   row (8 words):   kind | mask << 8   a   b   c   d   -   -   -       a..d are 0 where a field is predicted from a cell

import { ENTITY, FAMILIES, type FileKind, GLOBAL, HISTORY, KIND, TASK } from "./predictors.ts";

/** Histories are numbers below this. 13 bits: 14 gain 1 % of size, and the rows (256 KiB) no longer fit a cache. */
export const HISTORIES = 1 << 13;
/** Words in a row, as a shift. */
export const ROW_SHIFT = 3;
/** Slots of who runs: tasks modulo 256, then contexts that run no task. */
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

/** A field that is predicted from a cell, packed into one integer: slot, key, step + 1, first cell. */
export const CELL_SLOT_MASK = 3;
export const CELL_KEY_SHIFT = 2;
export const CELL_STEP_SHIFT = 4;
export const CELL_FIRST_SHIFT = 8;
/** What is added to the first cell. */
export const KEY_NONE = 0;
export const KEY_WHO = 1;

/** Where in `cells` the predictors keep what they know. */
const TASK_CELLS = KINDS * 4;
const GLOBAL_CELLS = TASK_CELLS + FAMILIES * WHO_SLOTS;
const ENTITY_CELLS = GLOBAL_CELLS + FAMILIES;
const CELLS = ENTITY_CELLS + FAMILIES * ENTITIES;

/** The memory; see the file comment. The hot loops use its arrays directly. */
export class PredictionModel {
  /** By kind: how many fields are predicted from cells, with SHAPE_WIDE. */
  readonly shapes = new Uint8Array(KINDS).fill(SHAPE_UNKNOWN);
  /** By kind, four each: the fields that are predicted from cells. */
  readonly cellFields = new Int32Array(KINDS * 4);
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
      if (slot > 4 || family >= FAMILIES || Math.abs(step) > 1)
        throw new RangeError("a field is wrong");
      if (slot === 4) {
        shape |= SHAPE_WIDE;
      } else if (predictor === HISTORY) {
        this.rowSlots[kind.id * 4 + slot] = -1;
      } else {
        if ((shape & SHAPE_CELLS) === 4) throw new RangeError("a kind has too many fields");
        const { key, first } = placeOf(predictor, family, kind.id, slot);
        this.cellFields[kind.id * 4 + (shape & SHAPE_CELLS)] =
          slot |
          (key << CELL_KEY_SHIFT) |
          ((step + 1) << CELL_STEP_SHIFT) |
          (first << CELL_FIRST_SHIFT);
        shape++;
      }
    }
    this.shapes[kind.id] = shape;
  }
}

function placeOf(predictor: number, family: number, kind: number, slot: number) {
  switch (predictor) {
    case KIND:
      return { key: KEY_NONE, first: kind * 4 + slot };
    case TASK:
      return { key: KEY_WHO, first: TASK_CELLS + family * WHO_SLOTS };
    case GLOBAL:
      return { key: KEY_NONE, first: GLOBAL_CELLS + family };
    case ENTITY:
      return { key: 2, first: ENTITY_CELLS + family * ENTITIES };
    default:
      throw new RangeError("a predictor is not known");
  }
}

/** The slot of who runs. */
export function whoSlot(ctx: number, task: number): number {
  return task === 0 ? 256 + ctx : task & 255;
}

/** The history after an event: `kind` and the slots a to d of its row have joined it. */
export function nextHistory(
  history: number,
  kind: number,
  a: number,
  b: number,
  c: number,
  d: number,
): number {
  // Odd numbers without a pattern. The shift lets an event matter for the next four (13 bits / 3).
  const event =
    Math.imul(kind, 0x9e35) ^
    Math.imul(a, 0x6d2b) ^
    Math.imul(b, 0x3c6f) ^
    Math.imul(c, 0x5851) ^
    Math.imul(d, 0x4f2d);
  return ((history << 3) ^ event) & (HISTORIES - 1);
}
