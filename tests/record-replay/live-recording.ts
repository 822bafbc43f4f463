// A live recording in memory: real files, real time; the folder of the images is gone when it comes back.

import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { assert } from "#core/base";
import type { RunOutcome } from "#core/sched";
import { LiveHost, runLive } from "#daemon";
import { headerOf, prepareRun, type RunOptions, type Scenario, schedulerNamed } from "#explorer";
import { MemorySink, Recorder } from "#tracer";
import { FORMAT_VERSION } from "#traces";

/** What a live run left: its full recording, and nothing on the disk. */
export interface LiveRecording {
  readonly outcome: RunOutcome;
  readonly bytes: Uint8Array;
}

/** Run `scenario` on real files in a folder of its own, record it in full, and delete the files. */
export async function recordLive(
  scenario: Scenario,
  options: Omit<RunOptions, "imagesDir">,
): Promise<LiveRecording> {
  const imagesDir = mkdtempSync(join(tmpdir(), "quiesce-record-"));
  try {
    const run = { ...options, imagesDir };
    const header = headerOf(scenario, run, {
      host: "live",
      level: "full",
      coreVersion: "",
      formatVersion: FORMAT_VERSION,
      provenance: { createdAt: "", host: "", node: "", quiesce: "" },
    });
    const sink = new MemorySink(header);
    const recorder = new Recorder(sink);
    const host = new LiveHost();
    const scheduler = schedulerNamed("default", options.seed);
    const outcome = await runLive(
      prepareRun(scenario, run, { host, clients: host, scheduler, probe: recorder }),
    );
    recorder.close();
    assert(readdirSync(imagesDir).length > 0, "the run made its images");
    return { outcome, bytes: sink.bytes() };
  } finally {
    rmSync(imagesDir, { recursive: true });
  }
}
