// How each field of each kind is predicted. The table goes into the header of every file, so a reader needs no catalogue.

import type { FieldLayout, FieldType } from "#core/probe";

/** A field as a file's header describes it. */
export interface FileField {
  readonly name: string;
  readonly type: FieldType;
  /** 0..3: the integer slots; 4: the wide slot. */
  readonly slot: number;
  readonly predictor: number;
  readonly family: number;
  readonly step: number;
}

/** A kind as a file's header describes it. */
export interface FileKind {
  readonly id: number;
  readonly name: string;
  readonly input: boolean;
  readonly fields: readonly FileField[];
}

/** How a field is predicted. */
export interface Prediction {
  readonly predictor: number;
  readonly family: number;
  readonly step: number;
}

/** The prediction of `field` of the kind called `kind`. */
export function predictorOf(_kind: string, _field: FieldLayout): Prediction {
  return { predictor: 0, family: 0, step: 0 };
}
