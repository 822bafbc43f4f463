// Events as they are in memory, 32 bytes each, in place of columns: the codec "plain". Such a file is many times as large as
// one of columns and is read at the speed of memory, whatever its events: for a trace that is analysed again and again.

import { assert } from "#core/base";
import { type EventBatch, LAYOUTS, WIDE_SLOT, WORD_ARGS, WORDS_PER_EVENT } from "#core/probe";
import type { FileKind } from "./predictors.ts";

/** Bytes of an event. */
export const PLAIN_EVENT_BYTES = WORDS_PER_EVENT * 4;

const KINDS = 256;

/** By kind, a word for each of an event's: -1 where the kind has something, 0 where it has nothing. */
const USED_WORDS = usedWords();

function usedWords(): Int32Array {
  const table = new Int32Array(KINDS * WORDS_PER_EVENT);
  for (const layout of LAYOUTS) {
    if (layout === undefined) continue;
    const first = layout.id * WORDS_PER_EVENT;
    table.fill(-1, first, first + WORD_ARGS);
    for (const { slot } of layout.fields) {
      const word = first + WORD_ARGS + slot;
      table.fill(-1, word, slot === WIDE_SLOT ? word + 2 : word + 1);
    }
  }
  return table;
}

/** The events of `batch`, as bytes of a chunk; what their kinds do not use is 0. */
export function plainBytes(batch: EventBatch): Uint8Array {
  const { ints, count } = batch;
  const words = new Int32Array(count * WORDS_PER_EVENT);
  for (let at = 0; at < words.length; at += WORDS_PER_EVENT) {
    const used = ((ints[at] as number) & 0xff) * WORDS_PER_EVENT;
    assert(USED_WORDS[used] === -1, "every event is of a kind in the catalogue");
    for (let word = 0; word < WORDS_PER_EVENT; word++)
      words[at + word] = (ints[at + word] as number) & (USED_WORDS[used + word] as number);
  }
  return new Uint8Array(words.buffer);
}

/** Reads chunks of plain events, of the kinds that a file describes. */
export class PlainReader {
  readonly #isKnown = new Uint8Array(KINDS);

  constructor(kinds: readonly FileKind[]) {
    for (const { id } of kinds) this.#isKnown[id] = 1;
  }

  /** Fills `batch` with the `events` events of a chunk; throws RangeError when `bytes` cannot be theirs. */
  read(bytes: Uint8Array, events: number, batch: EventBatch): void {
    if (bytes.length !== events * PLAIN_EVENT_BYTES)
      throw new RangeError("its length does not fit its events");
    const { ints } = batch;
    new Uint8Array(ints.buffer).set(bytes);
    const isKnown = this.#isKnown;
    for (let at = 0; at < events * WORDS_PER_EVENT; at += WORDS_PER_EVENT) {
      if (isKnown[(ints[at] as number) & 0xff] === 0)
        throw new RangeError("a kind of event is not described");
    }
    batch.count = events;
  }
}
