// Opening a trace: its beginning must be whole, or there is nothing that could be read. And finding its index.

import { QuiesceError } from "#core/base";
import { type KindLayout, LAYOUTS } from "#core/probe";
import type { ByteSource } from "./byte-source.ts";
import {
  decodeIndex,
  decodeTail,
  MAGIC,
  RECORD_TAGS,
  TAIL_BYTES,
  type TraceIndex,
} from "./envelope.ts";
import { FORMAT_VERSION, type TraceHeader } from "./header.ts";
import { decodeFormatVersion, decodeHeader } from "./header-codec.ts";
import type { FileKind } from "./predictors.ts";
import { CutShort, RecordCursor } from "./record-cursor.ts";

/** What the beginning of a trace says. */
export interface OpenedTrace {
  readonly header: TraceHeader;
  readonly kinds: readonly FileKind[];
  /** Offset of the first chunk. */
  readonly firstChunk: number;
}

/** Reads the beginning of a trace; throws QuiesceError("input") with one sentence when it cannot be used. */
export function openTrace(source: ByteSource): OpenedTrace {
  if (source.size === 0) throw refusal("The file is empty: it is not a trace.");
  const magic = new Uint8Array(MAGIC.length);
  const count = source.read(0, magic);
  if (!magic.subarray(0, count).every((byte, i) => byte === MAGIC[i])) {
    throw refusal("The file is not a trace of quiesce: it does not begin like one.");
  }
  let version = 0;
  try {
    const records = new RecordCursor(source, MAGIC.length);
    const { tag, body } = records.next();
    if (tag !== RECORD_TAGS.header) throw new RangeError("the first record is not a header");
    version = decodeFormatVersion(body);
    if (version === FORMAT_VERSION) {
      const { header, kinds } = decodeHeader(body);
      checkKinds(kinds);
      return { header, kinds, firstChunk: records.offset };
    }
  } catch (error) {
    if (error instanceof QuiesceError) throw error;
    if (error instanceof CutShort) {
      throw refusal("The trace ends within its header: there is nothing in it that can be read.");
    }
    if (!isDamage(error)) throw error;
    throw refusal("The header of the trace is damaged: without it nothing can be read.");
  }
  const known = `this version of quiesce reads format version ${FORMAT_VERSION}`;
  throw refusal(`The trace has format version ${version}, but ${known}; use a newer quiesce.`);
}

/** The fields of a kind never change; a file that says otherwise would be misread. Kinds that we do not know are fine. */
function checkKinds(kinds: readonly FileKind[]): void {
  for (const kind of kinds) {
    const known = LAYOUTS[kind.id];
    if (known === undefined || fieldsOf(kind) === fieldsOf(known)) continue;
    throw refusal(
      `The trace was made by another line of development: its event ${kind.name} is not the one that is known.`,
    );
  }
}

function fieldsOf({ name, fields }: FileKind | KindLayout): string {
  return [name, ...fields.map((field) => `${field.name} ${field.type} ${field.slot}`)].join(", ");
}

/** The index at the end of a trace, or null when there is none that can be trusted. */
export function readIndex(source: ByteSource): TraceIndex | null {
  if (source.size < TAIL_BYTES) return null;
  const tail = new Uint8Array(TAIL_BYTES);
  if (source.read(source.size - TAIL_BYTES, tail) < TAIL_BYTES) return null;
  const offset = decodeTail(tail);
  if (offset === null) return null;
  try {
    const record = new RecordCursor(source, offset).next();
    return record.tag === RECORD_TAGS.index ? decodeIndex(record.body) : null;
  } catch (error) {
    if (isDamage(error)) return null;
    throw error;
  }
}

/** Whether `error` says that bytes of the file are wrong; anything else is a bug or a failure of the disk. */
export function isDamage(error: unknown): error is Error {
  if (error instanceof CutShort || error instanceof RangeError) return true;
  // Errors of zlib: Z_DATA_ERROR, ERR_PADDING_1 and their like.
  return error instanceof Error && "code" in error && /^(Z_|ERR_)/.test(String(error.code));
}

function refusal(sentence: string): QuiesceError {
  return new QuiesceError("input", sentence);
}
