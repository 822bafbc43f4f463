// The events of a chunk, whatever its codec.

import type { EventBatch } from "#core/probe";
import { ColumnDecoder } from "./column-decoder.ts";
import { decompress } from "./compression.ts";
import type { ChunkRecord } from "./envelope.ts";
import { PlainReader } from "./plain-events.ts";
import type { FileKind } from "./predictors.ts";

/** Decodes the chunks of one file, in order. */
export class ChunkDecoder {
  readonly #columns: ColumnDecoder;
  readonly #plain: PlainReader;
  /** Whether the columns' memory is as the chunk before left it. */
  #canContinue = false;

  constructor(kinds: readonly FileKind[]) {
    this.#columns = new ColumnDecoder(kinds);
    this.#plain = new PlainReader(kinds);
  }

  /** Fills `batch` with the events of `chunk`; throws when they are damaged. */
  decode(chunk: ChunkRecord, batch: EventBatch): void {
    const { codec, columnsBytes, events, restart } = chunk;
    if (!restart && !this.#canContinue) throw new RangeError("it needs one before it");
    const bytes = decompress(codec, chunk.columns, columnsBytes);
    this.#canContinue = codec !== "plain";
    if (codec !== "plain") this.#columns.decode(bytes, events, restart, batch);
    else if (restart) this.#plain.read(bytes, events, batch);
    else throw new RangeError("it has events of its own but goes on from the one before");
  }
}
