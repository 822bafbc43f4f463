// The text of docs/series.md: what "off" means for each of the twelve patches, then a chapter for each, with how the runs of its
// scenario end and what the analyzer finds, off and on, with seed 1.
//
// What is said about a patch is in patches.ts; the rest comes from runs. A finding is a line, without line numbers and event
// numbers, so that the page changes when a verdict does.

import { analyze } from "#analyzer";
import { must } from "#core/base";
import { Ev } from "#core/probe";
import { PATCHES } from "#core/sched";
import { findingLine, recordScenario, SCENARIOS } from "#explorer";
import { bytesSource, TraceReader } from "#traces";
import { type PatchStory, type ShownRun, STORIES } from "./patches.ts";

/** Where the document is, from the root of the project. */
export const SERIES_DOCUMENT = "docs/series.md";

const SEED = 1;
/** Findings of a run that are shown; the demo has dozens. */
const LINES_MAX = 6;

const INTRODUCTION = `# The twelve patches

Each patch of the series can be switched off alone, with \`--without-patch\`. This page says what *off* means, then shows each
patch at work: runs with it off, and with it on. A finding is a line: rule, list, node, the function that reads (or made the
earlier edit), the function that edits, the operation around it; a star where there is none. This page is made by \`scripts/series.ts\`.
`;

/** The document. */
export function seriesDocument(): string {
  const rows = STORIES.map(({ patch, off }) => `| [${patch}](#patch-${patch}) | ${off} |`);
  const table = `| Patch | Off means |\n|---|---|\n${rows.join("\n")}\n`;
  return [INTRODUCTION, table, ...STORIES.map(chapterOf)].join("\n");
}

function chapterOf({ patch, why, runs }: PatchStory): string {
  const shown = runs.map(runText);
  return [`## Patch ${patch}\n`, `\`${PATCHES[patch]}\`\n`, `${why}\n`, ...shown].join("\n");
}

/** The command, how the run ends, what is found. */
function runText(shown: ShownRun): string {
  const { without, lock = "none" } = shown;
  const scenario = must(
    SCENARIOS.find(({ name }) => name === shown.scenario),
    "the page shows scenarios that there are",
  );
  const run = recordScenario(scenario, { seed: SEED, without, lock });
  const reader = TraceReader.open(bytesSource(run.bytes));
  const { sites } = reader.header;
  const result = analyze({ batches: reader.batches(), sites, strings: reader.strings });
  const lines = [...new Set(result.findings.map(findingLine))];
  const more = lines.length - LINES_MAX;
  const message = run.machine.assertion?.message;
  const text = [
    ...(shown.says === true ? notesOf(run.bytes) : []).map((note) => `says: ${note}`),
    `ends: ${run.outcome}${message === undefined ? "" : `, ${message}`}`,
    ...(lines.length === 0 ? ["no findings"] : lines.slice(0, LINES_MAX)),
    ...(more > 0 ? [`and ${more} more`] : []),
  ];
  return `${commandOf(shown)}\n\n\`\`\`text\n${text.join("\n")}\n\`\`\`\n`;
}

/** What the scenario itself remarks. */
function notesOf(bytes: Uint8Array): string[] {
  const reader = TraceReader.open(bytesSource(bytes));
  const notes: number[] = [];
  for (const batch of reader.batches())
    for (let i = 0; i < batch.count; i++)
      if (batch.kind(i) === Ev.note) notes.push(batch.arg(i, 0));
  return notes.map((note) => must(reader.strings[note], "a note is a string of its trace"));
}

function commandOf({ scenario, without, lock }: ShownRun): string {
  const off = without.length === 0 ? "" : ` --without-patch ${without.join(",")}`;
  const regime = lock === undefined ? "" : ` --lock ${lock}`;
  return `\`quiesce record ${scenario} --seed ${SEED}${off}${regime} -o run.trace && quiesce races run.trace\``;
}
