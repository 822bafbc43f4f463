// What the bridge's test loads as one bundle: the bridge and a real SDK, on one copy of the API.

export { trace } from "@opentelemetry/api";
export {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-base";
export { OtelSink } from "./otel-sink.ts";
