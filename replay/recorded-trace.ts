// What replay needs of a recording: a trace reader fits, and so does a recorder's memory.

import type { EventBatch } from "#core/probe";
import type { TraceHeader } from "#traces";

/** A recording. `batches` may be walked several times, also at once; `strings` may grow while they are. */
export interface RecordedTrace {
  readonly header: TraceHeader;
  readonly strings: readonly string[];
  batches(): Iterable<EventBatch>;
}
