// quiesce races FILE...: find accesses that no drain covers, and what else breaks the protocol.

import {
  counted,
  coverageText,
  findingsText,
  htmlReport,
  jsonReport,
  type Report,
  sarifReport,
} from "#analyzer/reports";
import { ExitCode, endingOf } from "./exit-codes.ts";
import { type FailOn, type Judged, judge, ReplayDiverged, reaches } from "./judge.ts";
import { refuseOverwriting, writeReport } from "./output-file.ts";
import { Progress } from "./progress.ts";
import { columnsOf, painterFor, type Terminal, writeAll } from "./terminal.ts";
import { quiesceVersion } from "./version.ts";

export interface RacesOptions {
  readonly coverage?: boolean;
  readonly json?: boolean;
  readonly sarif?: string;
  readonly html?: string;
  readonly failOn: FailOn;
}

export async function races(
  paths: readonly string[],
  options: RacesOptions,
  terminal: Terminal,
): Promise<number> {
  refuseOverwriting("--html", options.html, [...paths, options.sarif]);
  refuseOverwriting("--sarif", options.sarif, paths);
  const started = process.hrtime.bigint();
  const { judged, code: failed } = await judgeAll(paths, options, terminal);
  const report: Report = {
    tool: { name: "quiesce", version: quiesceVersion() },
    traces: judged.map((one) => one.report),
  };
  const code = Math.max(failed, verdict(judged, options.failOn));
  const seconds = Number(process.hrtime.bigint() - started) / 1e9;
  if (options.json === true)
    await writeAll(
      terminal.stdout,
      `${JSON.stringify(jsonReport(report, { seconds }), null, 2)}\n`,
    );
  else if (judged.length > 0) await writeAll(terminal.stdout, asText(report, options, terminal));
  for (const { incomplete } of judged)
    if (incomplete !== null) terminal.stderr.write(`quiesce: ${incomplete}\n`);
  return Math.max(code, writeReports(report, code, options, terminal));
}

/** After the findings are on stdout: a report that cannot be written must not take them along. */
function writeReports(
  report: Report,
  exitCode: number,
  { html, sarif }: RacesOptions,
  terminal: Terminal,
): number {
  let code: number = ExitCode.ok;
  if (html !== undefined) code = writeReport(html, htmlReport(report), terminal);
  if (sarif === undefined) return code;
  const text = `${JSON.stringify(sarifReport(report, { exitCode }), null, 1)}\n`;
  return Math.max(code, writeReport(sarif, text, terminal));
}

/** Judges every file; one that cannot be read is complained about and does not keep the others from being judged. */
async function judgeAll(
  paths: readonly string[],
  options: RacesOptions,
  terminal: Terminal,
): Promise<{ judged: Judged[]; code: number }> {
  const progress = new Progress(terminal);
  const judged: Judged[] = [];
  let code: number = ExitCode.ok;
  for (const path of paths) {
    try {
      const material = options.html !== undefined || options.sarif !== undefined;
      judged.push(
        await judge(path, {
          material,
          onProgress: (what) => progress.showNow(what),
          onRemark: (sentence) => say(sentence, progress, terminal),
        }),
      );
    } catch (error) {
      const ending =
        error instanceof ReplayDiverged
          ? { code: ExitCode.diverged, text: `quiesce: ${error.message}\n` }
          : endingOf(error);
      if (ending.code === ExitCode.internal) throw error;
      progress.clear();
      terminal.stderr.write(ending.text);
      code = Math.max(code, ending.code);
    }
  }
  progress.clear();
  return { judged, code };
}

function say(sentence: string, progress: Progress, terminal: Terminal): void {
  progress.clear();
  terminal.stderr.write(`quiesce: ${sentence}\n`);
}

/** 3 wins over 1: a trace that is incomplete is never green. */
function verdict(judged: readonly Judged[], failOn: FailOn): number {
  if (judged.some(({ incomplete }) => incomplete !== null)) return ExitCode.input;
  const found = judged.some(({ report }) =>
    report.result.findings.some((finding) => reaches(finding, failOn)),
  );
  return found ? ExitCode.findings : ExitCode.ok;
}

function asText(report: Report, options: RacesOptions, { stdout }: Terminal): string {
  const paint = painterFor(stdout);
  const look = { columns: columnsOf(stdout), paint };
  const parts = report.traces.map((trace) => {
    const heading =
      report.traces.length > 1
        ? `${paint("title", `── ${trace.facts.trace}: ${trace.facts.label}`)}\n\n`
        : "";
    const coverage =
      options.coverage === true
        ? `\n${paint("title", "Coverage")}\n\n${coverageText(trace.result.coverage, look)}`
        : "";
    return `${heading}${findingsText(trace, look)}${coverage}`;
  });
  const written = [options.html, options.sarif].filter((path) => path !== undefined);
  const files =
    written.length === 0
      ? ""
      : `\n${counted(written.length, "report")} written: ${written.join(", ")}\n`;
  return parts.join("\n") + files;
}
