// What the analyzer says of a recording in memory.

import { analyze } from "#analyzer";
import { headerOf, type RunOptions, type Scenario } from "#explorer";
import { MemorySink, Recorder } from "#tracer";
import { bytesSource, FORMAT_VERSION, TraceReader } from "#traces";

/** The titles of all findings; empty when there is none. */
export function findingsOf(trace: Uint8Array): string[] {
  const reader = TraceReader.open(bytesSource(trace));
  const { findings } = analyze({
    batches: reader.batches(),
    sites: reader.header.sites,
    strings: reader.strings,
  });
  return findings.map(({ title }) => title);
}

/** A recorder of all events of a run, which need not be replayed; `findings` ends it, and judges what there is. */
export function judgingRecorder(
  scenario: Scenario,
  options: RunOptions,
  host: "live" | "simulated",
): { readonly recorder: Recorder; findings(): string[] } {
  const header = headerOf(scenario, options, {
    ...{ host, level: "full", coreVersion: "", formatVersion: FORMAT_VERSION },
    provenance: { createdAt: "", host: "", node: "", quiesce: "" },
  });
  const sink = new MemorySink(header);
  const recorder = new Recorder(sink);
  return {
    recorder,
    findings() {
      recorder.close();
      return findingsOf(sink.bytes());
    },
  };
}
