// The coverage table on the page: the thing that nobody could see before. Each row is a pair of functions; the bar shows how
// its pairs of accesses came out.

import type { CoverageRow } from "../../findings.ts";
import { coverageReasons, coverageSummary } from "../coverage-report.ts";
import { coveredPairs, grouped, luckyPairs, placeOf } from "../words.ts";
import { breakable, html, type Markup } from "./markup.ts";

const BAR_WIDTH = 160;

/** All rows of one trace. */
export function coverageView(rows: readonly CoverageRow[]): Markup {
  if (rows.length === 0) return html`<p class="meta">No list was both read and edited.</p>`;
  return html`<p class="meta">${coverageSummary(rows)}. For each list, each pair of reading and editing function: how their pairs of accesses are ordered.
<span class="legend"><i class="key drained"></i>covered by a drain <i class="key ordered"></i>ordered by the protocol, no drain <i class="key luck"></i>by luck <i class="key uncovered"></i>uncovered</span></p>
<div class="scroll coverage-scroll" tabindex="0" role="region" aria-label="Coverage"><table class="coverage"><thead><tr>
<th scope="col">list</th><th scope="col">read in</th><th scope="col">edited in</th><th scope="col" class="number">pairs</th><th scope="col">outcome</th>
<th scope="col" class="number">drained</th><th scope="col" class="number">ordered</th><th scope="col" class="number">by luck</th><th scope="col" class="number">uncovered</th></tr></thead>
<tbody>${rows.map(rowView)}</tbody></table></div>`;
}

function rowView(row: CoverageRow): Markup {
  const reasons = coverageReasons(row);
  const search = [row.list, row.reader.name, row.editor.name, row.editorOperation.name, ...reasons]
    .join(" ")
    .toLowerCase();
  const lucky = luckyPairs(row);
  return html`<tr data-search="${search}" data-bad="${lucky + row.uncovered > 0 ? 1 : 0}"><td>${row.list}</td>
<td><code title="${placeOf(row.reader)}">${breakable(row.reader.name)}</code>${row.readerIsEdit && html` <span class="small-note">edit</span>`}</td>
<td><code title="${placeOf(row.editor)}">${breakable(row.editor.name)}</code>${row.editorOperation.name !== "" && html`<span class="line small-note">in <code title="${placeOf(row.editorOperation)}">${breakable(row.editorOperation.name)}</code></span>`}</td>
<td class="number">${grouped(row.pairs)}</td>
<td>${bar(row)}${reasons.map((reason) => html`<span class="line small-note">${reason}</span>`)}</td>
<td class="number">${grouped(coveredPairs(row))}</td><td class="number">${grouped(row.orderedBySanction)}</td>
<td class="number${lucky > 0 && " warn"}">${grouped(lucky)}</td><td class="number${row.uncovered > 0 && " bad"}">${grouped(row.uncovered)}</td></tr>`;
}

function bar(row: CoverageRow): Markup {
  const parts = [
    { name: "drained", count: coveredPairs(row) },
    { name: "ordered", count: row.orderedBySanction },
    { name: "luck", count: luckyPairs(row) },
    { name: "uncovered", count: row.uncovered },
  ];
  const total = Math.max(1, row.pairs);
  let x = 0;
  return html`<svg class="outcome" width="${BAR_WIDTH}" height="10" role="img" aria-label="${parts.map(({ name, count }) => `${name} ${grouped(count)}`).join(", ")}">${parts.map(
    ({ name, count }) => {
      // A single uncovered pair among thousands must still be seen.
      const width = count === 0 ? 0 : Math.max(3, (count / total) * BAR_WIDTH);
      const at = Math.min(x, BAR_WIDTH - width);
      x += width;
      return (
        width > 0 &&
        html`<rect class="${name}" x="${at.toFixed(1)}" y="0" width="${width.toFixed(1)}" height="10"/>`
      );
    },
  )}</svg>`;
}
