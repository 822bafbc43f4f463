// What the drains of a trace cost, on the page: a row a site, dearest first (drains-report.ts has the same as text).

import type { DrainRow } from "../../findings.ts";
import { stoppedText } from "../drains-report.ts";
import { grouped, placeOf, siteText } from "../words.ts";
import { breakable, html, type Markup } from "./markup.ts";

/** All rows of one trace. */
export function drainsView(rows: readonly DrainRow[]): Markup {
  if (rows.length === 0) return html`<p class="meta">Nothing was drained.</p>`;
  return html`<p class="meta">What the drained sections that each function begins have cost, dearest first. Needless are those that made nothing quiet and guarded no edit; waited counts requests that were queued and jobs that stopped.</p>
<div class="scroll" tabindex="0" role="region" aria-label="Drains"><table class="coverage drains"><thead><tr>
<th scope="col">begun in</th><th scope="col">drain</th><th scope="col" class="number">drains</th><th scope="col" class="number">needless</th><th scope="col" class="number">edits</th>
<th scope="col" class="number">waited</th><th scope="col">stopped for</th></tr></thead>
<tbody>${rows.map(rowView)}</tbody></table></div>`;
}

function rowView(row: DrainRow): Markup {
  const { site, kind, count, needless, edits, requestsWaited, jobsPaused } = row;
  const allNeedless = count > 0 && needless === count;
  return html`<tr data-search="${`${siteText(site)} ${kind}`.toLowerCase()}" data-bad="${allNeedless ? 1 : 0}"><td><code title="${placeOf(site)}">${breakable(site.name)}</code></td>
<td>${kind}</td><td class="number">${grouped(count)}</td><td class="number${allNeedless && " warn"}">${grouped(needless)}</td><td class="number">${grouped(edits)}</td>
<td class="number">${grouped(requestsWaited + jobsPaused)}</td><td>${stoppedText(row)}</td></tr>`;
}
