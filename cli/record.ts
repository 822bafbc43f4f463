// quiesce record SCENARIO -o FILE: run a scenario, live or simulated, and record it.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { counted, grouped } from "#analyzer/reports";
import type { PatchNumber } from "#core/sched";
import { ExitCode } from "./exit-codes.ts";
import { findScenario } from "./find-scenario.ts";
import { refuseOverwriting } from "./output-file.ts";
import { Progress } from "./progress.ts";
import { type Recorded, recordRun } from "./run-scenario.ts";
import { painterFor, type Terminal } from "./terminal.ts";

export interface RecordOptions {
  readonly output: string;
  readonly seed: number;
  readonly host: "live" | "simulated";
  readonly level: "inputs" | "full";
  readonly withoutPatch?: readonly PatchNumber[];
  readonly lock: "none" | "aio";
  readonly codec: "deflate" | "plain";
  readonly param?: Readonly<Record<string, string>>;
  readonly check?: boolean;
}

export async function record(
  name: string,
  options: RecordOptions,
  terminal: Terminal,
): Promise<number> {
  const found = await findScenario(name);
  refuseOverwriting("-o", options.output, [found.file]);
  const progress = new Progress(terminal);
  const imagesDir = mkdtempSync(join(tmpdir(), "quiesce-images-"));
  const removeImages = (): void => rmSync(imagesDir, { recursive: true, force: true });
  // A signal ends the process without coming back here.
  process.once("exit", removeImages);
  try {
    const { seed, host, level, lock, codec, output, withoutPatch, param, check } = options;
    const recorded = await recordRun({
      found,
      seed,
      host,
      level,
      lock,
      codec,
      output,
      imagesDir,
      without: withoutPatch ?? [],
      params: param ?? {},
      check: check === true,
      onProgress: (events) =>
        progress.show(`Recording ${found.scenario.name}: ${counted(events, "event")}`),
    });
    progress.clear();
    terminal.stdout.write(summary(output, recorded, terminal));
    if (recorded.outcome !== "limit") return ExitCode.ok;
    terminal.stderr.write(
      `quiesce: the run was stopped after ${grouped(recorded.steps)} steps: it may never end.\n`,
    );
    return ExitCode.limit;
  } finally {
    progress.clear();
    removeImages();
    process.removeListener("exit", removeImages);
  }
}

function summary(output: string, recorded: Recorded, { stdout }: Terminal): string {
  const paint = painterFor(stdout);
  return `${paint("name", output)}: ${counted(recorded.events, "event")}; ${endText(recorded, paint)}\n`;
}

function endText({ outcome, assertion }: Recorded, paint: ReturnType<typeof painterFor>): string {
  switch (outcome) {
    case "ok":
      return "the run came to its end";
    case "assertion":
      return `the run ended at an assertion of QEMU's: ${paint("warn", assertion ?? "")}`;
    case "deadlock":
      return paint("warn", "the run ended in a deadlock");
    case "limit":
      return paint("warn", "the run was stopped at a limit");
  }
}
