// Emission: the recorder's hot path and the sinks. The OpenTelemetry bridge is `#tracer/otel`.

export { FileSink } from "./file-sink.ts";
export { MemorySink } from "./memory-sink.ts";
export { Recorder, type RecorderOptions } from "./recorder.ts";
export { RingSink } from "./ring-sink.ts";
export type { Sink } from "./sink.ts";
export { TraceSink } from "./trace-sink.ts";
