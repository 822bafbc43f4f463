// One trace under several policies, on the page: a row a rule, a column a policy (policy-report.ts has the same as text).

import type { PolicyJudgement } from "../../findings.ts";
import { policyRows, policySentence } from "../policy-report.ts";
import { html, type Markup } from "./markup.ts";

/** The table, with a sentence for each policy. */
export function policiesView(policies: readonly PolicyJudgement[]): Markup {
  const rows = policyRows(policies);
  return html`<p class="meta">How many findings each policy has of each rule. A dash: that policy does not ask. A question mark: the trace cannot be judged by it.</p>
<div class="scroll" tabindex="0" role="region" aria-label="Findings by policy"><table class="coverage policies"><thead><tr><th scope="col">rule</th>${policies.map(
    ({ policy }) => html`<th scope="col" class="number">${policy}</th>`,
  )}</tr></thead><tbody>${rows.map(
    ({ name, cells }) =>
      html`<tr data-search="${name}" data-bad="1"><th scope="row">${name}</th>${cells.map((cell) => html`<td class="number">${cell}</td>`)}</tr>`,
  )}</tbody></table></div>
<dl class="facts">${policies.map((judgement) => html`<div><dt>${judgement.policy}</dt><dd>${policySentence(judgement)}</dd></div>`)}</dl>`;
}
