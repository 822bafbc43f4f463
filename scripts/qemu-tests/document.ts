// The text of docs/qemu-tests.md: each case of QEMU's unit tests beside ours with its result, from a run; then what differs on
// purpose and why, and what the analyzer finds in cases that pass, with the decision.

import {
  type CaseOptions,
  type CaseResult,
  type DeclaredFinding,
  QEMU_NAMES,
  type QemuCase,
  type QemuFamily,
  runCase,
} from "#tests/qemu";

/** Where the document is, from the root of the project. */
export const DOCUMENT = "docs/qemu-tests.md";

/** The run behind the document is short: the tests of the cases have a hundred random schedules, and the round trip. */
const RUN: CaseOptions = { schedules: 3, wantsAll: false, roundTrip: false };

const INTRODUCTION = `# QEMU's unit tests, case by case

Each case that QEMU 7.2 registers in these files has one here: the same scenario with the same assertions, under the same name.
Each runs under its own schedule, where it is recorded twice with equal bytes and replayed from its inputs and from the full
recording; under a hundred random schedules with the same assertions and with the invariants of the graph checked after every
step; and through the analyzer, whose findings must be those that the case declares. \`npm test\` does all of that;
\`npm run long -- qemu-tests\` does it with more schedules. How to write a case: \`tests/qemu/support/README.md\`.

This page is made by \`scripts/qemu-tests.ts\` from the cases and from a run of them.
`;

/** A case with what became of it. */
export interface CaseRow {
  readonly qemuCase: QemuCase;
  readonly file: string;
  /** Null when the case does not apply. */
  readonly result: CaseResult | null;
}

/** Run all cases of `families` and write the document. */
export function qemuTests(families: readonly QemuFamily[]): string {
  return documentOf(families.flatMap(rowsOf));
}

function rowsOf({ file, cases }: QemuFamily): CaseRow[] {
  return cases.map((qemuCase) => {
    const applies = qemuCase.notApplicable === undefined;
    const result = applies ? runCase(qemuCase, RUN) : null;
    return { qemuCase, file, result };
  });
}

/** The document for cases that have run. */
export function documentOf(rows: readonly CaseRow[]): string {
  const chapters = Object.entries(QEMU_NAMES).map(([file, names]) => chapterOf(file, names, rows));
  const sections = [
    sectionOf(
      "Different on purpose",
      DIFFERENT,
      textsOf(rows, ({ differs }) => differs),
    ),
    sectionOf(
      "Not applicable",
      NOT_APPLICABLE,
      textsOf(rows, (one) => one.notApplicable),
    ),
    sectionOf("Under the own schedule only", OWN_ONLY, ownScheduleTexts(rows)),
    sectionOf(
      "What is left at the end",
      LEFT,
      textsOf(rows, ({ leaves }) => leaves),
    ),
    sectionOf(
      "Invariants",
      INVARIANTS,
      textsOf(rows, (one) => one.breaksInvariants),
    ),
    findingsOf(rows),
    oursOf(rows),
  ];
  const text = [INTRODUCTION, ...chapters, ...sections.filter((section) => section !== "")];
  return `${text.join("\n")}`;
}

const DIFFERENT = "Where a case is not QEMU's scenario or assertion, and why.";
const NOT_APPLICABLE = "Cases that have no meaning here, and why.";
const OWN_ONLY = "Assertions that are left out under random schedules, and why.";
const LEFT = "Cases that leave nodes or BlockBackends behind, and why.";
const INVARIANTS = "Cases that run without the check of invariants after every step, and why.";

function chapterOf(file: string, names: readonly string[], rows: readonly CaseRow[]): string {
  const lines = names.map((name) => {
    const row = rows.find(({ qemuCase }) => qemuCase.name === name);
    if (row === undefined) return `| \`${name}\` | | not yet |`;
    return `| \`${name}\` | \`${row.file}\` | ${resultOf(row)} |`;
  });
  const table = ["| QEMU's case | Here | Result |", "|---|---|---|", ...lines].join("\n");
  return `## ${file}\n\n${table}\n`;
}

function resultOf({ qemuCase, result }: CaseRow): string {
  if (result === null) return "does not apply";
  if (result.problems.length > 0) return "**fails**";
  const { without = [], lock = "none", findings = [] } = qemuCase;
  const how = [
    ...(without.length === 0 ? [] : [`patch ${without.join(", ")} off`]),
    ...(lock === "none" ? [] : ["AioContext lock"]),
    ...(findings.length === 0 ? [] : ["with findings"]),
  ];
  return how.length === 0 ? "passes" : `passes (${how.join("; ")})`;
}

/** Text → the cases that have it. */
type Texts = Map<string, string[]>;

function add(texts: Texts, text: string, name: string): void {
  const names = texts.get(text) ?? [];
  if (!names.includes(name)) names.push(name);
  texts.set(text, names);
}

function textsOf(rows: readonly CaseRow[], of: (qemuCase: QemuCase) => string | undefined): Texts {
  const texts: Texts = new Map();
  for (const { qemuCase } of rows) {
    const text = of(qemuCase);
    if (text !== undefined) add(texts, text, qemuCase.name);
  }
  return texts;
}

function ownScheduleTexts(rows: readonly CaseRow[]): Texts {
  const texts: Texts = new Map();
  for (const { qemuCase } of rows)
    for (const reason of Object.values(qemuCase.ownScheduleOnly ?? {}))
      add(texts, reason, qemuCase.name);
  return texts;
}

function sectionOf(title: string, says: string, texts: Texts): string {
  if (texts.size === 0) return "";
  return `## ${title}\n\n${says}\n\n${entriesOf(texts)}\n`;
}

function entriesOf(texts: Texts): string {
  return [...texts].map(([text, names]) => `- ${listOf(names)}\n  ${text}`).join("\n");
}

function listOf(names: readonly string[]): string {
  return `${names.map((name) => `\`${name}\``).join(", ")}:`;
}

/** Findings that cases declare, by the decision about them. */
export function findingEntries(rows: readonly { readonly qemuCase: QemuCase }[]): string {
  const decisions = new Map<string, { names: Set<string>; lines: Set<string> }>();
  for (const { qemuCase } of rows) {
    for (const finding of qemuCase.findings ?? []) {
      const decision = decisions.get(finding.why) ?? { names: new Set(), lines: new Set() };
      decision.names.add(qemuCase.name);
      decision.lines.add(lineOf(finding));
      decisions.set(finding.why, decision);
    }
  }
  return [...decisions]
    .map(([why, { names, lines }]) =>
      [`- ${listOf([...names])}`, `  ${why}`, ...[...lines].map((line) => `  - ${line}`)].join(
        "\n",
      ),
    )
    .join("\n");
}

function lineOf({ rule, list, node, reader, editor, operation, when }: DeclaredFinding): string {
  const words = [
    `\`${rule}\``,
    ...(list === undefined ? [] : [`on \`${list}\``]),
    ...(node === undefined ? [] : [`of \`${node}\``]),
    ...(reader === undefined ? [] : [`read by \`${reader}\``]),
    ...(editor === undefined ? [] : [`edited by \`${editor}\``]),
    ...(operation === undefined ? [] : [`in \`${operation}\``]),
  ];
  const often = when === "always" ? "in every schedule" : (when ?? "sometimes");
  return `${words.join(" ")}, ${often}`;
}

function findingsOf(rows: readonly CaseRow[]): string {
  const entries = findingEntries(rows);
  if (entries === "") return "";
  return `## Findings in cases that pass\n\nWhat the analyzer says about a case is a mistake of ours or a true finding about the protocol; these are true.\n\n${entries}\n`;
}

function oursOf(rows: readonly CaseRow[]): string {
  const ours = rows.filter(({ qemuCase }) => qemuCase.ours === true);
  if (ours.length === 0) return "";
  const lines = ours.map(
    (row) => `| \`${row.qemuCase.name}\` | \`${row.file}\` | ${resultOf(row)} |`,
  );
  return `## Ours beside them\n\n${["| Case | Here | Result |", "|---|---|---|", ...lines].join("\n")}\n`;
}
