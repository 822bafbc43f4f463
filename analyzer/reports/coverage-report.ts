// Coverage as text: for each list, each pair of reading and editing function, how the pairs of accesses came out.
//
//   children                                                    pairs  drained  ordered  by luck  uncovered
//     bdrv_is_inserted × bdrv_replace_child_noperm in bdrv_append
//                                                               1,203    1,200        0        0          3
//       1,200 covered by the subtree drain of bdrv_append (core/graph/append.ts:40)
// A legend above it says what the columns are.

import type { CoverageRow } from "../findings.ts";
import type { TextOptions } from "./text-report.ts";
import { counted, coveredPairs, grouped, luckText, luckyPairs, siteText } from "./words.ts";
import { cut, wrap } from "./wrap.ts";

const HEADS = ["pairs", "drained", "ordered", "by luck", "uncovered"] as const;
const COLUMN = 10;
const LEGEND: readonly (readonly [head: string, meaning: string])[] = [
  ["pairs", "times that the first function read the list and the second edited it"],
  ["drained", "a drained section around the edit orders the two"],
  ["ordered", "the protocol orders them, without such a section"],
  ["by luck", "only an accident orders them: another schedule can make it a race"],
  ["uncovered", "nothing orders them: a race"],
];

/** The coverage of one trace; ends with a newline. */
export function coverageText(rows: readonly CoverageRow[], options: TextOptions): string {
  if (rows.length === 0) return "No list was both read and edited.\n";
  const { paint, columns } = options;
  const wide = columns - HEADS.length * COLUMN;
  const lines = LEGEND.map(([head, meaning]) =>
    paint("dim", wrap(`  ${head.padEnd(COLUMN)}`, meaning, columns)),
  );
  lines.push("");
  let list = "";
  for (const row of rows) {
    if (row.list !== list) {
      if (list !== "") lines.push("");
      list = row.list;
      lines.push(
        paint("title", list.padEnd(wide)) +
          paint("dim", HEADS.map((head) => head.padStart(COLUMN)).join("")),
      );
    }
    lines.push(...rowLines(row, wide, options));
  }
  return `${lines.join("\n")}\n`;
}

/** The pair of functions of a row: `bdrv_is_inserted × bdrv_replace_child_noperm in bdrv_append`. */
export function pairText(row: CoverageRow): string {
  const within = row.editorOperation.name === "" ? "" : ` in ${row.editorOperation.name}`;
  const reader = row.readerIsEdit ? `edit ${row.reader.name}` : row.reader.name;
  return `${reader} × ${row.editor.name}${within}`;
}

/** How the pairs of a row are ordered, one sentence for each way. */
export function coverageReasons(row: CoverageRow): string[] {
  const drained = row.covered.map(
    ({ site, kind, count }) =>
      `${grouped(count)} covered by the ${kind} drain of ${siteText(site)}`,
  );
  const luck = row.luck.map(
    ({ edge, count }) => `${grouped(count)} ordered by luck: ${luckText(edge)}`,
  );
  return [...drained, ...luck];
}

function rowLines(row: CoverageRow, wide: number, { paint, columns }: TextOptions): string[] {
  const uncovered = grouped(row.uncovered).padStart(COLUMN);
  const lucky = grouped(luckyPairs(row)).padStart(COLUMN);
  const numbers = [
    grouped(row.pairs).padStart(COLUMN),
    grouped(coveredPairs(row)).padStart(COLUMN),
    grouped(row.orderedBySanction).padStart(COLUMN),
    row.luck.length > 0 ? paint("warn", lucky) : lucky,
    row.uncovered > 0 ? paint("bad", uncovered) : uncovered,
  ];
  const name = cut(`  ${pairText(row)}`, columns);
  const head =
    name.length < wide
      ? [name.padEnd(wide) + numbers.join("")]
      : [name, " ".repeat(wide) + numbers.join("")];
  return [
    ...head,
    ...coverageReasons(row).map((reason) => paint("dim", wrap("      ", reason, columns))),
  ];
}

/** One line that sums a table up. */
export function coverageSummary(rows: readonly CoverageRow[]): string {
  const sum = (of: (row: CoverageRow) => number) => rows.reduce((total, row) => total + of(row), 0);
  const parts = [
    `${grouped(sum(coveredPairs))} covered by a drain`,
    `${grouped(sum((row) => row.orderedBySanction))} ordered by the protocol`,
    `${grouped(sum(luckyPairs))} by luck`,
    `${grouped(sum((row) => row.uncovered))} uncovered`,
  ];
  return `${counted(
    sum((row) => row.pairs),
    "pair",
  )} of accesses: ${parts.join(", ")}`;
}
