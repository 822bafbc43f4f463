// The text of docs/known-findings.md: one chapter for each hole-* scenario, with the head of its source file (what happens,
// drawn, and where in QEMU) and what the analyzer prints about its run with seed 1 and all patches on.
//
// Line numbers and event numbers are left out of the output, so that the document changes when a verdict does, and not
// whenever a line is added somewhere.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { analyze } from "#analyzer";
import { findingsText, type TraceReport } from "#analyzer/reports";
import { recordScenario, SCENARIOS, type Scenario } from "#explorer";
import { FAMILIES } from "#tests/qemu";
import { bytesSource, TraceReader } from "#traces";
import { findingEntries } from "../qemu-tests/document.ts";

/** Where the document is, from the root of the project. */
export const DOCUMENT = "docs/known-findings.md";

const FOLDER = "explorer/scenarios";
const PREFIX = "hole-";
const SEED = 1;
const COLUMNS = 100;

const INTRODUCTION = `# Known findings

QEMU's protocol for the lists of the block graph has holes: reads that no drain covers, and sums that do not come out even,
with all twelve patches of the series on. This page has a chapter for each. They are not mistakes of quiesce, and they stay:
\`core/\` does what QEMU 7.2 with the series does. (In one place it does better, unless told otherwise: hole-waits-once.)

Nothing is suppressed in code. There is no list of exceptions, neither in the analyzer nor in the block layer: whoever runs
into one of these holes gets a finding, every time. What this page is for is to tell whether a finding of yours is one of
them.

Each hole has a scenario, the smallest program that shows it, and a test that says: in every schedule this is found, and
nothing else is. \`main\` is the thread that edits the graph, \`io0\` an iothread; time goes downwards. The output is that of
the command above it, without line numbers and event numbers. This page is made by \`scripts/known-findings.ts\` from the heads of
the scenarios and from their runs.
`;

/** The document, from the sources below `root`. */
export function knownFindings(root: string): string {
  const holes = SCENARIOS.filter(({ name }) => name.startsWith(PREFIX));
  const sorted = [...holes].sort((a, b) => (a.name < b.name ? -1 : 1));
  const contents = sorted.map(({ name, title }) => `- [${name}](#${name}): ${title}`);
  const chapters = sorted.map((scenario) => chapterOf(scenario, sourceOf(root, scenario)));
  return [INTRODUCTION, `${contents.join("\n")}\n`, ...chapters, IN_CASES, declared()].join("\n");
}

const IN_CASES = `## In QEMU's own test cases

What the analyzer finds in a case that QEMU passes (docs/qemu-tests.md), and what was decided about it: these are true.
`;

function declared(): string {
  const rows = FAMILIES.flatMap(({ cases }) => cases.map((qemuCase) => ({ qemuCase })));
  return `${findingEntries(rows)}\n`;
}

function sourceOf(root: string, { name }: Scenario): string {
  return readFileSync(join(root, FOLDER, `${name}.ts`), "utf8");
}

/** A chapter: heading, the head of `source`, the command, what it prints. */
export function chapterOf(scenario: Scenario, source: string): string {
  const { name } = scenario;
  const trace = `${name}.trace`;
  const command = `quiesce record ${name} -o ${trace} --seed ${SEED} && quiesce races ${trace}`;
  return [
    `## ${name}\n`,
    `${headOf(source)}\n`,
    `\`\`\`sh\n${command}\n\`\`\`\n`,
    `\`\`\`text\n${outputOf(scenario, trace)}\`\`\`\n`,
    `Source: [\`${FOLDER}/${name}.ts\`](../${FOLDER}/${name}.ts)\n`,
  ].join("\n");
}

/** The comment at the head of a source file as Markdown: paragraphs, and the lines that are indented as drawings. */
export function headOf(source: string): string {
  const lines: string[] = [];
  for (const line of source.split("\n")) {
    if (!line.startsWith("//")) break;
    lines.push(line.slice(2).replace(/^ /, ""));
  }
  return blocksOf(lines)
    .map(({ isDrawing, text }) =>
      isDrawing ? `\`\`\`text\n${text.join("\n")}\n\`\`\`` : text.join("\n"),
    )
    .join("\n\n")
    .replace(/^Known hole: (.)/, (_match, first: string) => first.toUpperCase());
}

interface Block {
  readonly isDrawing: boolean;
  readonly text: string[];
}

/** Blank lines end a paragraph; inside a drawing they are part of it. */
function blocksOf(lines: readonly string[]): Block[] {
  const blocks: Block[] = [];
  let blanks = 0;
  for (const line of lines) {
    if (line.trim() === "") {
      blanks++;
      continue;
    }
    const isDrawing = line.startsWith("  ");
    const last = blocks.at(-1);
    if (last === undefined || last.isDrawing !== isDrawing || (blanks > 0 && !isDrawing))
      blocks.push({ isDrawing, text: [line] });
    else last.text.push(...new Array<string>(blanks).fill(""), line);
    blanks = 0;
  }
  return blocks;
}

/** What `quiesce races` prints about the scenario's run, without the numbers of lines and events. */
function outputOf(scenario: Scenario, trace: string): string {
  const { bytes } = recordScenario(scenario, { seed: SEED });
  const reader = TraceReader.open(bytesSource(bytes));
  const { sites } = reader.header;
  const result = analyze({ batches: reader.batches(), sites, strings: reader.strings });
  const report: TraceReport = {
    facts: {
      trace,
      label: "",
      scenario: scenario.name,
      seed: SEED,
      host: "simulated",
      lock: "none",
      patchesOff: [],
      level: "full",
      digest: "",
      replayCommand: `quiesce replay ${trace}`,
    },
    result,
    material: [],
  };
  return withoutNumbers(findingsText(report, { columns: COLUMNS, paint: (_style, text) => text }));
}

/** `text` without line numbers behind file names, event numbers, and the count of events. */
export function withoutNumbers(text: string): string {
  return text
    .replace(/\.ts:\d+/g, ".ts")
    .replace(/^( +[0-9a-f]{16}\b.*), event [\d,]+$/gm, "$1")
    .replace(/\n? {2,}(?:(?:\S+|context \d+), )?event [\d,]+$/gm, "")
    .replace(/ --to \d+$/gm, "")
    .replace(/, events [\d,]+ to [\d,]+/g, "")
    .replace(/ in [\d,]+ events$/gm, "");
}
