// One finding on the page: what raced, why nothing covers it, what would, and the pictures that show it.

import type { Access, Finding } from "../../findings.ts";
import { type FlowStep, flowOf } from "../flow.ts";
import { pathTo } from "../graph-path.ts";
import type { FindingMaterial, GraphPicture } from "../material.ts";
import type { TraceReport } from "../report.ts";
import { momentOf, type StackFrame, type Stacks } from "../stacks.ts";
import { excuseOf, isNew, type Stood, standingWord } from "../standing.ts";
import {
  adviceText,
  againText,
  counted,
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
import { ledgerView } from "./ledger-view.ts";
import { breakable, html, type Markup } from "./markup.ts";

/** The entry of a finding in the list on the left. */
export function findingEntry({ finding, standing }: Stood, id: string): Markup {
  const word = standingWord(standing);
  const search = [
    finding.title,
    finding.rule,
    listText(finding),
    finding.fingerprint,
    word,
    ...finding.accesses.map(accessWords),
  ];
  return html`<li><a class="entry ${finding.severity}" href="#${id}" data-finding="${id}" data-severity="${finding.severity}" data-new="${isNew(standing) ? 1 : 0}" data-search="${search.join(" ").toLowerCase()}">
<span class="rule">${finding.consequenceOf !== undefined && "↳ "}${ruleWord(finding.rule)}</span><span class="about">${listText(finding) || ruleTitle(finding.rule)}</span>
<span class="times">${word !== "" && html`<span class="chip standing">${word}</span> `}${grouped(finding.count)}×</span>
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

/** Where a finding is on the page, and the race that it is a consequence of; null where it is none. */
export interface FindingIds {
  readonly id: string;
  readonly rootId: string | null;
}

/** The finding in full. */
export function findingView(
  { finding, standing, index }: Stood,
  { material: all, facts, stacks }: TraceReport,
  { id, rootId }: FindingIds,
): Markup {
  const material = all[index] ?? null;
  const excuse = excuseOf(standing);
  const seen = finding.count > 1 ? `seen ${grouped(finding.count)} times` : "seen once";
  return html`<article class="finding ${finding.severity}" id="${id}" tabindex="-1" aria-labelledby="${id}-head">
<h3 id="${id}-head"><span class="chip ${finding.severity}">${ruleWord(finding.rule)}</span> ${finding.title}</h3>
<p class="meta">${listText(finding)}${listText(finding) !== "" && " · "}${seen} · <code>${finding.fingerprint}</code></p>
${finding.accesses.length > 0 && html`<div class="accesses">${finding.accesses.map((access, side) => accessCard(access, side, material?.graphs[side] ?? null, stacks))}</div>`}
<dl class="verdict">
${placeView(finding, stacks)}
${excuse !== "" && html`<div><dt>Not new</dt><dd>${excuse}</dd></div>`}
${rootId !== null && html`<div><dt>Comes with</dt><dd><a href="#${rootId}">another race</a>: order the two accesses of that one, and this one is gone.</dd></div>`}
${finding.why !== "" && html`<div><dt>Why</dt><dd>${finding.why}</dd></div>`}
${finding.advice !== null && html`<div class="fix"><dt>What would cover it</dt><dd>${adviceText(finding.advice)}</dd></div>`}
<div><dt>See it again</dt><dd><code class="command">${againText(facts, finding)}</code><button type="button" class="copy" data-copy="${againText(facts, finding)}">Copy</button></dd></div>
</dl>
${material?.lanes != null && lanesFigure(finding, material, id)}
${material?.lanes != null && ledgerView(finding, material.lanes)}
<div class="pair">
${material !== null && graphFigures(finding, material, id)}
${storyFigure(finding, flowOf(finding, material))}
</div>
</article>`;
}

function accessCard(
  access: Access,
  index: number,
  graph: GraphPicture | null,
  stacks: Stacks | undefined,
): Markup {
  const { site, operations, sectionsOpen } = access;
  const path = graph === null ? [] : pathTo(graph);
  return html`<section class="access-card ${access.what}">
<h4><span class="badge-number">${index + 1}</span> ${access.what} <code>${functionOf(site)}</code></h4>
<p class="place"><code>${placeOf(site)}</code></p>
<dl><dt>by</dt><dd>${whoText(access)}</dd>
${access.detail !== "" && html`<dt>does</dt><dd>${access.detail}</dd>`}
${operations.length > 0 && html`<dt>within</dt><dd>${operations.map((operation, i) => html`${i > 0 && html`<span class="arrow"> ‹ </span>`}<code title="${placeOf(operation)}">${operationText(operation)}</code>`)}</dd>`}
<dt>drains</dt><dd>${sectionsOpen.length === 0 ? "no drained section holds the node" : sectionsOpen.map((section) => html`<span class="line">${sectionText(section)}</span>`)}</dd>
${path.length > 1 && html`<dt>path</dt><dd>${path.join(" › ")}</dd>`}
<dt>event</dt><dd>${grouped(access.event)}</dd></dl>
${stackView(stacks?.get(access.event) ?? [])}</section>`;
}

/** Where the finding shows, when no access tells that. */
function placeView(finding: Finding, stacks: Stacks | undefined): Markup | null {
  const moment = momentOf(finding);
  if (moment === null) return null;
  const { site } = finding;
  const place =
    site === null
      ? "It shows"
      : html`<code>${functionOf(site)}</code> <span class="small-note">${placeOf(site)}</span>; it shows`;
  const head = site === null ? "Where" : "Look at";
  return html`<div class="shows"><dt>${head}</dt><dd>${place} at event ${grouped(moment)}.${stackView(stacks?.get(moment) ?? [])}</dd></div>`;
}

/** The functions that were running, folded. */
function stackView(frames: readonly StackFrame[]): Markup | null {
  if (frames.length === 0) return null;
  return html`<details class="stack"><summary>Stack of ${counted(frames.length, "function")}</summary><ol>${frames.map(
    (frame) =>
      html`<li><code>${frame.function}</code> <span class="small-note">${frame.file}:${frame.line}</span></li>`,
  )}</ol></details>`;
}

function lanesFigure(finding: Finding, material: FindingMaterial, id: string): Markup | null {
  if (material.lanes === null) return null;
  return html`<figure><figcaption>What each context did. The axis is the order of events, not time.
<span class="legend"><i class="key task"></i>request <i class="key operation"></i>graph operation <i class="key waiting"></i>drain waits <i class="key drained"></i>drained <i class="key lock"></i>lock <i class="key wait"></i>polls <i class="key dot read"></i>read <i class="key dot edit"></i>edit</span></figcaption>
<div class="scroll lane-scroll" tabindex="0" role="region" aria-label="Lanes">${lanesSvg(finding, material.lanes, `${id}-lanes`)}</div></figure>`;
}

/** The graph at each access; once where it is the same at both. */
function graphFigures(finding: Finding, { graphs }: FindingMaterial, id: string): Markup {
  const drawn = graphs.flatMap((graph, index) => (graph === null ? [] : [{ graph, index }]));
  const isSame = drawn.length === 2 && looksOf(drawn[0]?.graph) === looksOf(drawn[1]?.graph);
  const shown = isSame ? drawn.slice(-1) : drawn;
  return html`${shown.map(({ graph, index }) => graphFigure(finding, graph, `${id}-graph${index}`, isSame ? null : index))}`;
}

/** What of a picture can be seen to differ. */
function looksOf(graph: GraphPicture | undefined): string {
  return JSON.stringify([graph?.vertices, graph?.edges]);
}

function graphFigure(
  finding: Finding,
  graph: GraphPicture,
  id: string,
  access: number | null,
): Markup {
  const left = graph.leftOut > 0 ? ` ${graph.leftOut} more nodes are not drawn.` : "";
  const changes = graph.edges.some(({ change }) => change !== "none")
    ? ", what it edits marked"
    : "";
  const what = finding.accesses[access ?? -1]?.what;
  const head =
    what === undefined || access === null
      ? html`The graph around event ${grouped(graph.event)}${changes}.`
      : html`<span class="badge-number">${access + 1}</span> The graph at the ${what}, event ${grouped(graph.event)}${changes}.`;
  return html`<figure class="graph-figure"><figcaption><span>${head}${left}</span></figcaption>
<div class="scroll" tabindex="0" role="region" aria-label="Graph">${graphSvg(finding, graph, id)}</div></figure>`;
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
