// The OpenTelemetry bridge, apart from `#tracer` so that a recording without it does not load the OpenTelemetry API.

export { type OtelOptions, OtelSink } from "./otel-sink.ts";
