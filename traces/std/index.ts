// Foreign traces: the abstract trace, and RAPID's forms of it.

export * from "./abstract-trace.ts";
export { MESSAGE, QuiesceSource, type QuiesceSourceOptions } from "./from-quiesce.ts";
export {
  RapidBinReader,
  rapidBinEvents,
  rapidBinHeader,
  rapidBinHeaderBytes,
} from "./rapid-bin.ts";
export { StdReader } from "./std-reader.ts";
export { operandsOf, stdLines } from "./std-writer.ts";
