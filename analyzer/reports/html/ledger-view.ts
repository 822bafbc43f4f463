// The ledger of drains around a finding: each drained section that was open nearby, when it began, had waited and ended, and how
// far it had come at each access. It answers why a drain that is there does not cover the pair.

import type { Finding } from "../../findings.ts";
import type { LaneBar, LaneWindow } from "../material.ts";
import { isOpenAt, stateOf } from "../open-sections.ts";
import { grouped, placeOf } from "../words.ts";
import { breakable, html, type Markup } from "./markup.ts";

/** Rows of a ledger; a storm of drains has more, and the lanes show those. */
const ROWS_MAX = 30;

/** The ledger as a table; null when no section was open around the accesses. */
export function ledgerView(finding: Finding, { bars, contexts }: LaneWindow): Markup | null {
  const sections = bars.filter(({ kind }) => kind === "section");
  const near = sections.filter(
    (bar) => bar.holdsNode || finding.accesses.some(({ event }) => isOpenAt(bar, event)),
  );
  if (near.length === 0) return null;
  // Those that were open at an access come first: they are what a reader asks about.
  const ranked = near.map((bar) => ({
    bar,
    open: finding.accesses.filter(({ event }) => isOpenAt(bar, event)).length,
  }));
  ranked.sort((a, b) => b.open - a.open || a.bar.from - b.bar.from);
  const shown = ranked.slice(0, ROWS_MAX).map(({ bar }) => bar);
  shown.sort((a, b) => a.from - b.from || a.id - b.id);
  const left = near.length - shown.length;
  const nameOf = (ctx: number) =>
    contexts.find((context) => context.ctx === ctx)?.name ?? `context ${ctx}`;
  const heads = finding.accesses.map(
    ({ what }, index) =>
      html`<th scope="col">at <span class="badge-number">${index + 1}</span> ${what}</th>`,
  );
  return html`<figure class="ledger-figure"><figcaption>Drained sections around ${finding.accesses.length === 0 ? "it" : "the accesses"}.${left > 0 && ` ${left} more are in the lanes.`}</figcaption>
<div class="scroll" tabindex="0" role="region" aria-label="Drained sections"><table class="ledger"><thead><tr><th scope="col">section</th><th scope="col">by</th><th scope="col">holds the node</th><th scope="col" class="number">began</th><th scope="col" class="number">had waited</th><th scope="col" class="number">ended</th>${heads}</tr></thead>
<tbody>${shown.map((bar) => row(bar, finding, nameOf(bar.ctx)))}</tbody></table></div></figure>`;
}

function row(bar: LaneBar, finding: Finding, ctxName: string): Markup {
  const states = finding.accesses.map(({ event }) => {
    const state = stateAt(bar, event);
    return html`<td class="state ${state.replaceAll(" ", "-")}">${state}</td>`;
  });
  return html`<tr class="${bar.holdsNode && "holds"}"><td>${bar.label} <span class="small-note">#${bar.id}</span></td>
<td>${ctxName}${bar.site !== null && html`, <code title="${placeOf(bar.site)}">${breakable(bar.site.name)}</code>`}</td>
<td>${bar.holdsNode ? "yes" : "no"}</td><td class="number">${grouped(bar.from)}</td><td class="number">${eventText(bar.pollEnd)}</td><td class="number">${eventText(bar.to)}</td>${states}</tr>`;
}

/** `to` and `pollEnd` are unknown where the section outlasts what was looked at. */
function eventText(event: number | null): string {
  return event === null ? "not yet" : grouped(event);
}

function stateAt(bar: LaneBar, event: number): "not begun" | "waiting" | "drained" | "ended" {
  if (event < bar.from) return "not begun";
  if (bar.to !== null && event > bar.to) return "ended";
  return stateOf(bar, event);
}
