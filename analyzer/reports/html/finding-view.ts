// One finding on the page: what raced, why nothing covers it, what would, and the pictures that show it.

import type { Access, Finding } from "../../findings.ts";
import { type FlowStep, flowOf } from "../flow.ts";
import type { FindingMaterial } from "../material.ts";
import type { RunFacts } from "../report.ts";
import {
  functionOf,
  grouped,
  listText,
  operationText,
  placeOf,
  ruleTitle,
  ruleWord,
  sectionText,
  whoText,
} from "../words.ts";
import { graphSvg } from "./graph-svg.ts";
import { lanesSvg } from "./lanes-svg.ts";
import { breakable, html, type Markup } from "./markup.ts";

/** The entry of a finding in the list on the left. */
export function findingEntry(finding: Finding, id: string): Markup {
  const search = [
    finding.title,
    finding.rule,
    listText(finding),
    finding.fingerprint,
    ...finding.accesses.map(accessWords),
  ];
  return html`<li><a class="entry ${finding.severity}" href="#${id}" data-finding="${id}" data-severity="${finding.severity}" data-search="${search.join(" ").toLowerCase()}">
<span class="rule">${ruleWord(finding.rule)}</span><span class="times">${grouped(finding.count)}×</span>
<span class="about">${listText(finding) || ruleTitle(finding.rule)}</span>
<span class="sides">${sidesText(finding)}</span></a></li>`;
}

function accessWords(access: Access): string {
  return [
    access.site.name,
    access.site.file,
    access.ctxName,
    access.taskText,
    ...access.operations.map(({ name }) => name),
  ].join(" ");
}

function sidesText(finding: Finding): Markup[] {
  return finding.accesses.map(
    ({ what, site }) => html`<span class="side ${what}">${functionOf(site)}</span>`,
  );
}

/** The finding in full. */
export function findingView(
  finding: Finding,
  material: FindingMaterial | null,
  facts: RunFacts,
  id: string,
): Markup {
  const seen = finding.count > 1 ? `seen ${grouped(finding.count)} times` : "seen once";
  return html`<article class="finding ${finding.severity}" id="${id}" tabindex="-1" aria-labelledby="${id}-head">
<h3 id="${id}-head"><span class="chip ${finding.severity}">${ruleWord(finding.rule)}</span> ${finding.title}</h3>
<p class="meta">${listText(finding)}${listText(finding) !== "" && " · "}${seen} · <code>${finding.fingerprint}</code></p>
${finding.accesses.length > 0 && html`<div class="accesses">${finding.accesses.map(accessCard)}</div>`}
<dl class="verdict">
${finding.why !== "" && html`<div><dt>Why</dt><dd>${finding.why}</dd></div>`}
${finding.advice !== null && html`<div class="fix"><dt>What would cover it</dt><dd>${finding.advice.text}</dd></div>`}
<div><dt>See it again</dt><dd><code class="command">${facts.replayCommand}</code><button type="button" class="copy" data-copy="${facts.replayCommand}">Copy</button></dd></div>
</dl>
${material?.lanes != null && lanesFigure(finding, material, id)}
<div class="pair">
${material?.graph != null && graphFigure(finding, material, id)}
${storyFigure(finding, flowOf(finding, material))}
</div>
</article>`;
}

function accessCard(access: Access, index: number): Markup {
  const { site, operations, sectionsOpen } = access;
  return html`<section class="access-card ${access.what}">
<h4><span class="badge-number">${index + 1}</span> ${access.what} <code>${functionOf(site)}</code></h4>
<p class="place"><code>${placeOf(site)}</code></p>
<dl><dt>by</dt><dd>${whoText(access)}</dd>
${access.detail !== "" && html`<dt>does</dt><dd>${access.detail}</dd>`}
${operations.length > 0 && html`<dt>within</dt><dd>${operations.map((operation, i) => html`${i > 0 && html`<span class="arrow"> ‹ </span>`}<code title="${placeOf(operation)}">${operationText(operation)}</code>`)}</dd>`}
<dt>drains</dt><dd>${sectionsOpen.length === 0 ? "no drained section holds the node" : sectionsOpen.map((section) => html`<span class="line">${sectionText(section)}</span>`)}</dd>
<dt>event</dt><dd>${grouped(access.event)}</dd></dl>
</section>`;
}

function lanesFigure(finding: Finding, material: FindingMaterial, id: string): Markup | null {
  if (material.lanes === null) return null;
  return html`<figure><figcaption>What each context did. The axis is the order of events, not time.
<span class="legend"><i class="key task"></i>request <i class="key operation"></i>graph operation <i class="key waiting"></i>drain waits <i class="key drained"></i>drained <i class="key lock"></i>lock <i class="key wait"></i>polls <i class="key dot read"></i>read <i class="key dot edit"></i>edit</span></figcaption>
<div class="scroll lane-scroll" tabindex="0" role="region" aria-label="Lanes">${lanesSvg(finding, material.lanes, `${id}-lanes`)}</div></figure>`;
}

function graphFigure(finding: Finding, material: FindingMaterial, id: string): Markup | null {
  const { graph } = material;
  if (graph === null) return null;
  const left = graph.leftOut > 0 ? ` ${graph.leftOut} more nodes are not drawn.` : "";
  return html`<figure class="graph-figure"><figcaption>The graph around event ${grouped(graph.event)}, what it edits marked.${left}</figcaption>
<div class="scroll" tabindex="0" role="region" aria-label="Graph">${graphSvg(finding, graph, `${id}-graph`)}</div></figure>`;
}

/** The story: a column for each context that takes part, time downwards. */
function storyFigure(finding: Finding, steps: readonly FlowStep[]): Markup | null {
  const contexts = [...new Map(steps.map(({ ctx, ctxName }) => [ctx, ctxName]))].sort(
    ([a], [b]) => a - b,
  );
  if (steps.length === 0) return null;
  return html`<figure class="story-figure"><figcaption>What happened, in order.</figcaption>
<div class="scroll"><table class="story"><thead><tr><th scope="col">event</th>${contexts.map(([, name]) => html`<th scope="col">${name}</th>`)}</tr></thead>
<tbody>${steps.map((step) => storyRow(step, contexts, finding))}</tbody></table></div></figure>`;
}

function storyRow(
  step: FlowStep,
  contexts: readonly (readonly [number, string])[],
  finding: Finding,
): Markup {
  const what = finding.accesses[step.access ?? -1]?.what ?? "";
  const number =
    step.access === null ? null : html`<span class="badge-number">${step.access + 1}</span> `;
  return html`<tr class="${step.kind}${step.access !== null && " is-access"}${step.access !== null && ` ${what}`}"><td class="event">${grouped(step.event)}</td>
${contexts.map(([ctx]) => html`<td>${ctx === step.ctx && html`${number}<span title="${step.site === null ? "" : placeOf(step.site)}">${breakable(step.text)}</span>`}</td>`)}</tr>`;
}
