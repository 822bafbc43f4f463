// The trace file: reader, writer, text form. docs/trace-format.md describes the format.

export { type ByteSource, bytesSource, fdSource, growingFdSource } from "./byte-source.ts";
export { type ClockStamps, EVENTS_PER_STAMP } from "./clock.ts";
export { CODECS, type Codec } from "./compression.ts";
export { TraceDigest, traceDigest } from "./digest.ts";
export type { IndexEntry, TraceIndex } from "./envelope.ts";
export {
  comparableHeader,
  FORMAT_VERSION,
  headerWithLevel,
  type TraceHeader,
  type TraceProvenance,
  type TraceScenario,
} from "./header.ts";
export { eventsPerChunkDefault, eventsPerChunkMax } from "./limits.ts";
export { MemoryBytes, traceBytes } from "./memory.ts";
export { type ParsedText, parseText } from "./parse-text.ts";
export type { FileField, FileKind } from "./predictors.ts";
export { type TraceDamage, TraceReader } from "./reader.ts";
export { stripToInputs } from "./strip.ts";
export { emitSyntheticRun, type SyntheticOptions, syntheticSites } from "./synthetic.ts";
export { eventToJson, formatBatch, formatEvent, ID_PREFIXES, type TraceTables } from "./text.ts";
export {
  type ByteSink,
  type TraceStats,
  TraceWriter,
  type TraceWriterOptions,
} from "./writer.ts";
