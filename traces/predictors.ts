// How each field of each kind is predicted. The table goes into the header of every file, so that a file can be read
// without the catalogue of the version that wrote it, and a later version may predict better without a new format.
//
//   HISTORY  what the field was the last time that the same history led here; the values become part of the history
//   KIND     the last value of this field
//   TASK     the last value of this family in this task: e.g. the bytes of a request, from layer to layer
//   GLOBAL   the last value of this family: with step 1, ids that count up
//   ENTITY   the last value of this family for the thing that slot 0 names, plus `step`: counters

import { type EventName, type FieldLayout, type FieldType, LAYOUTS, WIDE_SLOT } from "#core/probe";

/** How a field is predicted. */
export interface Prediction {
  readonly predictor: number;
  /** Which cells it uses, for TASK, GLOBAL and ENTITY; below `FAMILIES`. */
  readonly family: number;
  /** What is added to the cell's value: -1, 0 or 1. */
  readonly step: number;
}

/** A field as a file's header describes it. */
export interface FileField extends Prediction {
  readonly name: string;
  readonly type: FieldType;
  /** 0..3: the integer slots; 4: the wide slot. */
  readonly slot: number;
}

/** A kind as a file's header describes it. */
export interface FileKind {
  readonly id: number;
  readonly name: string;
  readonly input: boolean;
  readonly fields: readonly FileField[];
}

export const HISTORY = 0;
export const KIND = 1;
export const TASK = 2;
export const GLOBAL = 3;
export const ENTITY = 4;

/** Families of a predictor. */
export const FAMILIES = 16;

const history: Prediction = { predictor: HISTORY, family: 0, step: 0 };
const ofKind: Prediction = { predictor: KIND, family: 0, step: 0 };
const task = (family: number): Prediction => ({ predictor: TASK, family, step: 0 });
const global = (family: number, step: number): Prediction => ({ predictor: GLOBAL, family, step });
const entity = (family: number, step: number): Prediction => ({ predictor: ENTITY, family, step });

/** By type; types with few values, which tell well what comes next, are HISTORY. */
const BY_TYPE: Readonly<Partial<Record<FieldType, Prediction>>> = {
  co: task(0),
  task: task(1),
  section: task(2),
  tran: task(3),
  wait: task(4),
  bh: task(5),
  timer: task(6),
  bytes: task(7),
  edge: task(9),
  op: global(0, 0),
  string: ofKind,
  handle: history,
  count: ofKind,
  word: ofKind,
  ret: ofKind,
  steps: ofKind,
};

const SPECIAL: Readonly<Record<string, Prediction>> = {
  "io_submit.op": global(1, 1),
  "co_create.co": global(2, 1),
  "task_begin.id": global(3, 1),
  "drain_begin.section": global(4, 1),
  "tran_new.tran": global(5, 1),
  "wait_begin.wait": global(6, 1),
  "bs_new.node": global(7, 1),
  "edge_new.edge": global(8, 1),
  "io_now.op": global(9, 1),
  "bs_in_flight_inc.new": entity(0, 1),
  "bs_in_flight_dec.new": entity(0, -1),
  "bs_in_flight_read.value": entity(0, 0),
  "blk_in_flight_inc.new": entity(1, 1),
  "blk_in_flight_dec.new": entity(1, -1),
  "blk_in_flight_read.value": entity(1, 0),
  "bs_quiesce.new": entity(2, 1),
  "bs_unquiesce.new": entity(2, -1),
  "blk_quiesce.new": entity(3, 1),
  "blk_unquiesce.new": entity(3, -1),
  "gate_read.value": entity(3, 0),
  "job_pause.new": entity(4, 1),
  "job_resume.new": entity(4, -1),
  "job_gate_read.value": entity(4, 0),
  "edge_quiesce.new": entity(5, 0),
  "recursive_quiesce.new": entity(6, 0),
  "external_disable.new": entity(7, 1),
  "external_enable.new": entity(7, -1),
  "bs_ref.new": entity(8, 1),
  "bs_unref.new": entity(8, -1),
  "lock_acquire.depth": entity(9, 1),
  "lock_release.depth": entity(9, -1),
};

/** The prediction of `field` of the kind called `kind`; the wide slot has a rule of its own. */
export function predictorOf(kind: EventName, field: FieldLayout): Prediction {
  if (field.slot === WIDE_SLOT) return history;
  return SPECIAL[`${kind}.${field.name}`] ?? BY_TYPE[field.type] ?? history;
}

/** The catalogue as a file's header describes it. */
export const CATALOGUE_KINDS: readonly FileKind[] = LAYOUTS.flatMap((layout) => {
  if (layout === undefined) return [];
  const { id, name, input } = layout;
  const fields = layout.fields.map((field) => ({ ...field, ...predictorOf(name, field) }));
  return [{ id, name, input, fields }];
});
