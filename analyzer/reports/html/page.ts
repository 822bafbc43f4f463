// The HTML report: one file that holds everything, asks nobody for anything, and can be sent by mail.
//
// All of it is in the markup, so it can be read with scripts off; the script adds the filter, one finding at a time, and the
// keyboard. The content security policy allows the one style sheet and the one script, by their hashes, and nothing else: no
// inline style attribute, no image but data, no connection. No trace is embedded, only what surrounds each finding.

import { createHash } from "node:crypto";
import type { Finding } from "../../findings.ts";
import type { Report, RunFacts, TraceReport } from "../report.ts";
import { isNew, standingWord, stood } from "../standing.ts";
import { counted, grouped, ruleCount, ruleCounts } from "../words.ts";
import { coverageView } from "./coverage-view.ts";
import { drainsView } from "./drains-view.ts";
import { findingEntry, findingView } from "./finding-view.ts";
import { html, Markup } from "./markup.ts";
import { policiesView } from "./policies-view.ts";
import { SCRIPT } from "./script.ts";
import { STYLE } from "./style.ts";

/** The report as an HTML document. */
export function htmlReport(report: Report): string {
  const policy = [
    "default-src 'none'",
    `style-src '${hashOf(STYLE)}'`,
    `script-src '${hashOf(SCRIPT)}'`,
    "img-src data:",
    "base-uri 'none'",
    "form-action 'none'",
  ].join("; ");
  return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${titleOf(report)}</title><link rel="icon" href="data:,">
<style>${new Markup(STYLE)}</style></head>
<body><a class="skip" href="#main">Skip to the findings</a>
<header class="top"><h1>quiesce <span>race report</span></h1>
<div class="tools"><button type="button" id="theme">Dark or light</button><button type="button" id="keys" aria-expanded="false" aria-controls="help">Keys</button></div></header>
<div id="help" hidden><p><kbd>j</kbd> <kbd>k</kbd> next and previous finding · <kbd>/</kbd> filter · <kbd>f</kbd> findings · <kbd>c</kbd> coverage · <kbd>d</kbd> drains · <kbd>p</kbd> policies · <kbd>1</kbd>…<kbd>9</kbd> run · <kbd>?</kbd> these keys</p></div>
${remarksView(report)}<nav class="runs" aria-label="Runs">${report.traces.map(runCard)}</nav>
<main id="main">${report.traces.map(runView)}</main>
<footer>${report.tool.name} ${report.tool.version}. This page is one file and sends nothing.</footer>
<script>${new Markup(SCRIPT)}</script></body></html>
`.text;
}

function hashOf(text: string): string {
  return `sha256-${createHash("sha256").update(text).digest("base64")}`;
}

function titleOf(report: Report): string {
  const findings = report.traces.reduce((sum, { result }) => sum + result.findings.length, 0);
  return `quiesce: ${counted(findings, "finding")} in ${report.traces.map(({ facts }) => facts.trace).join(", ")}`;
}

/** What there is to say of baseline and suppressions. */
function remarksView({ triage }: Report): Markup | null {
  if (triage === undefined) return null;
  const gone = triage.absent.length;
  const absent =
    gone === 0 ? [] : [`${counted(gone, "finding")} of the baseline did not occur any more.`];
  const lines = [...triage.remarks, ...absent];
  return lines.length === 0
    ? null
    : html`<div class="remarks">${lines.map((line) => html`<p class="note">${line}</p>`)}</div>`;
}

function runCard(trace: TraceReport, index: number): Markup {
  const { facts, result } = trace;
  const all = stood(trace);
  const fresh = all.filter(({ standing }) => isNew(standing)).map(({ finding }) => finding);
  const counts = [...ruleCounts(fresh)].map(([rule, count]) => {
    const severity = fresh.find((finding) => finding.rule === rule)?.severity ?? "note";
    return html`<span class="chip ${severity}">${ruleCount(rule, count)}</span>`;
  });
  const none = fresh.length === all.length ? "no findings" : "no new findings";
  const besides = ["known", "suppressed"].map((word) => {
    const count = all.filter(({ standing }) => standingWord(standing) === word).length;
    return count > 0 && html`<span class="chip">${grouped(count)} ${word}</span>`;
  });
  return html`<a class="run" href="#run-${index}" data-run="${index}"><b>${facts.label || facts.trace}</b>
<span class="meta">${facts.trace} · ${counted(result.events, "event")}</span>
<span class="chips">${counts.length > 0 ? counts : html`<span class="chip good">${none}</span>`}${besides}</span></a>`;
}

function runView(trace: TraceReport, run: number): Markup {
  const { facts, result } = trace;
  const id = (index: number) => `r${run}-f${index}`;
  const { findings } = result;
  const rootIdOf = ({ consequenceOf }: Finding): string | null => {
    const root = findings.findIndex(({ fingerprint }) => fingerprint === consequenceOf);
    return consequenceOf === undefined || root < 0 ? null : id(root);
  };
  const more = moreTabs(result);
  return html`<section class="run-view" id="run-${run}" data-run="${run}" aria-label="${facts.label || facts.trace}">
${factsView(facts, result)}
<div class="tabs"><a class="tab" href="#run-${run}-findings" data-tab="findings">Findings <span class="count">${grouped(findings.length)}</span></a>
<a class="tab" href="#run-${run}-coverage" data-tab="coverage">Coverage <span class="count">${grouped(result.coverage.length)}</span></a>
${more.map(({ word, title, count }) => html`<a class="tab" href="#run-${run}-${word}" data-tab="${word}">${title} <span class="count">${grouped(count)}</span></a>`)}
<label class="filter">Filter <input type="search" class="filter-text" placeholder="function, list, node, context …" autocomplete="off" spellcheck="false"></label>
<span class="severities">${(["error", "warning", "note"] as const).map((severity) => {
    return html`<label><input type="checkbox" class="filter-severity" value="${severity}" checked> ${severity}s</label>`;
  })}</span>
${trace.standings !== undefined && html`<label class="only-new"><input type="checkbox" class="filter-new"> only new</label>`}
<label class="only-bad" hidden><input type="checkbox" class="filter-bad"> only what luck or nothing orders</label></div>
<div class="panel findings" id="run-${run}-findings" data-panel="findings">
${
  findings.length === 0
    ? nothingFound(result)
    : html`<nav class="list" aria-label="Findings"><ul>${stood(trace).map((one) => findingEntry(one, id(one.index)))}</ul><p class="no-match" hidden>No finding matches the filter.</p></nav>
<div class="details">${stood(trace).map((one) => findingView(one, trace, { id: id(one.index), rootId: rootIdOf(one.finding) }))}</div>`
}</div>
<div class="panel" id="run-${run}-coverage" data-panel="coverage"><h2>Coverage</h2>${coverageView(result.coverage)}</div>
${more.map(({ word, title, view }) => html`<div class="panel" id="run-${run}-${word}" data-panel="${word}"><h2>${title}</h2>${view}</div>`)}
</section>`;
}

/** A table that is there only when it was asked for. */
interface MoreTab {
  readonly word: "drains" | "policies";
  readonly title: string;
  readonly count: number;
  readonly view: Markup;
}

function moreTabs({ drains, policies = [] }: TraceReport["result"]): MoreTab[] {
  const tabs: MoreTab[] = [];
  if (drains !== undefined)
    tabs.push({ word: "drains", title: "Drains", count: drains.length, view: drainsView(drains) });
  // A single policy has made the findings themselves.
  if (policies.length > 1)
    tabs.push({
      word: "policies",
      title: "Policies",
      count: policies.length,
      view: policiesView(policies),
    });
  return tabs;
}

function nothingFound(result: TraceReport["result"]): Markup {
  const pairs = result.coverage.reduce((sum, row) => sum + row.pairs, 0);
  return html`<div class="clean"><p class="big">No findings.</p><p>${counted(result.events, "event")} and ${counted(pairs, "pair")} of accesses were looked at; the coverage tab shows which drain orders each of them.</p></div>`;
}

function factsView(facts: RunFacts, result: TraceReport["result"]): Markup {
  const patches = facts.patchesOff.length === 0 ? "all on" : `${facts.patchesOff.join(", ")} off`;
  const rows: readonly (readonly [string, string])[] = [
    ["scenario", facts.scenario],
    ["seed", String(facts.seed)],
    ["host", facts.host],
    ["patches", patches],
    ["lock", facts.lock],
    ["recorded", facts.level],
    ["events", grouped(result.events)],
    ["ended", result.complete ? (result.runStatus ?? "") : "recording incomplete"],
    ["digest", facts.digest],
  ];
  return html`<dl class="facts">${rows.filter(([, value]) => value !== "").map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
${result.notes.map((note) => html`<p class="note">${note}</p>`)}`;
}
