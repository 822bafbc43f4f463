// The reports that `quiesce races` writes into files, or one of them to standard output in place of the text (`-`): one row for
// each form, and how it is made.

import type { FailOn } from "#analyzer/reports";
import {
  gitlabReport,
  htmlReport,
  junitReport,
  markdownReport,
  type Report,
  sarifReport,
} from "#analyzer/reports";
import { QuiesceError } from "#core/base";
import { ExitCode } from "./exit-codes.ts";
import { refuseOverwriting, STDOUT, writeReport } from "./output-file.ts";
import { newBaseline } from "./races-triage.ts";
import type { Terminal } from "./terminal.ts";

/** Where reports go. */
export interface OutputOptions {
  readonly sarif?: string;
  readonly html?: string;
  readonly junit?: string;
  readonly markdown?: string;
  readonly gitlab?: string;
  readonly writeBaseline?: string;
  /** What the Markdown calls the HTML report: the name of an artifact, or an address. */
  readonly artifact?: string;
  readonly json?: boolean;
  readonly annotations?: "github";
}

/** What reports say beside the findings. */
export interface OutputFacts {
  readonly exitCode: number;
  readonly failOn: FailOn;
}

interface Form {
  readonly option: string;
  readonly path: (options: OutputOptions) => string | undefined;
  readonly text: (report: Report, facts: OutputFacts, options: OutputOptions) => string;
}

const FORMS: readonly Form[] = [
  { option: "--html", path: ({ html }) => html, text: (report) => htmlReport(report) },
  {
    option: "--sarif",
    path: ({ sarif }) => sarif,
    text: (report, { exitCode }) =>
      `${JSON.stringify(sarifReport(report, { exitCode }), null, 1)}\n`,
  },
  {
    option: "--junit",
    path: ({ junit }) => junit,
    text: (report, { failOn }) => junitReport(report, { failOn }),
  },
  {
    option: "--markdown",
    path: ({ markdown }) => markdown,
    text: (report, _, { artifact }) => markdownReport(report, { artifact: artifact ?? null }),
  },
  {
    option: "--gitlab",
    path: ({ gitlab }) => gitlab,
    text: (report) => `${JSON.stringify(gitlabReport(report), null, 1)}\n`,
  },
  { option: "--write-baseline", path: ({ writeBaseline }) => writeBaseline, text: newBaseline },
];

/** What became of the outputs. */
export interface Written {
  /** The exit code, 0 when all is well. */
  readonly code: number;
  /** The files that are there now, in their order. */
  readonly paths: readonly string[];
  /** What goes to standard output in place of the text; null when the text does. */
  readonly stdout: string | null;
}

/** Refuses outputs over one of `inputs` or over each other. A new baseline may stand where the old one was. */
export function refuseOutputs(
  options: OutputOptions,
  inputs: { readonly traces: readonly string[]; readonly judgedBy: readonly string[] },
): void {
  const earlier: string[] = [];
  const printed = stdoutOptions(options);
  if (printed.length > 1)
    throw new QuiesceError(
      "usage",
      `${printed.join(" and ")} both write to stdout: use one of them.`,
    );
  for (const { option, path } of FORMS) {
    const output = path(options);
    if (output === undefined || output === STDOUT) continue;
    const judgedBy = option === "--write-baseline" ? [] : inputs.judgedBy;
    refuseOverwriting(option, output, [...inputs.traces, ...judgedBy, ...earlier]);
    earlier.push(output);
  }
}

/** Whether a report is printed in place of the text. */
export function printsReport(options: OutputOptions): boolean {
  return options.json === true || FORMS.some(({ path }) => path(options) === STDOUT);
}

/** The options given that print something in place of the text. */
function stdoutOptions(options: OutputOptions): string[] {
  const forms = FORMS.filter(({ path }) => path(options) === STDOUT);
  return [
    ...(options.json === true ? ["--json"] : []),
    ...(options.annotations === undefined ? [] : ["--annotations"]),
    ...forms.map(({ option }) => `${option} ${STDOUT}`),
  ];
}

/** Writes them; one that cannot be written is said and keeps no other from being written. */
export function writeOutputs(
  report: Report,
  facts: OutputFacts,
  options: OutputOptions,
  terminal: Terminal,
): Written {
  let code: number = ExitCode.ok;
  const paths: string[] = [];
  let stdout: string | null = null;
  for (const { path, text } of FORMS) {
    const output = path(options);
    if (output === undefined) continue;
    if (output === STDOUT) {
      stdout = text(report, facts, options);
      continue;
    }
    const ret = writeReport(output, () => text(report, facts, options), terminal);
    if (ret === ExitCode.ok) paths.push(output);
    code = Math.max(code, ret);
  }
  return { code, paths, stdout };
}
