// SARIF 2.1.0, for code scanning and editors: one run, one result for each fingerprint.
//
// A finding has two places. GitHub uses only the first location, so that is the uncovered read; the other access is a related
// location, and the message links to it. Viewers differ in what they do with threads: most show only the first thread
// flow of a code flow. So codeFlows[0] is the whole story merged in execution order, each message with its context in front, and
// codeFlows[1] the same story with a thread flow for each context, as the standard intends. Paths are relative to
// %SRCROOT%, which the consumer sets; nothing of the machine that wrote the file is in it.

import type { CodeFlow, Location, Log, Result, ThreadFlowLocation } from "sarif";
import { must } from "#core/base";
import type { Access, Finding, Site } from "../findings.ts";
import { RULE_IDS } from "../rules.ts";
import { type FlowStep, flowOf } from "./flow.ts";
import type { FindingMaterial } from "./material.ts";
import type { Report, RunFacts } from "./report.ts";
import { sarifRules } from "./sarif-rules.ts";
import { functionOf, grouped, listText, operationText, whoText } from "./words.ts";

/** What the command line adds to the log. */
export interface SarifExtras {
  /** The process's exit code, as the log's invocation states it. */
  readonly exitCode: number;
}

interface Occurrence {
  readonly facts: RunFacts;
  readonly finding: Finding;
  readonly material: FindingMaterial | null;
  count: number;
}

/** The report as a SARIF log. */
export function sarifReport(report: Report, { exitCode }: SarifExtras): Log {
  return {
    $schema: "https://json.schemastore.org/sarif-2.1.0.json",
    version: "2.1.0",
    runs: [
      {
        tool: {
          driver: {
            name: report.tool.name,
            version: report.tool.version,
            semanticVersion: report.tool.version,
            rules: sarifRules(),
          },
        },
        automationDetails: { id: "quiesce/races/" },
        columnKind: "utf16CodeUnits",
        originalUriBaseIds: {
          "%SRCROOT%": { description: { text: "The root of the source that was recorded." } },
        },
        invocations: [
          {
            executionSuccessful: report.traces.every(({ result }) => result.complete),
            exitCode,
            toolExecutionNotifications: report.traces.flatMap(({ facts, result }) =>
              result.notes.map((note) => ({
                level: "note" as const,
                message: { text: `${facts.trace}: ${note}` },
              })),
            ),
          },
        ],
        results: occurrences(report).map(resultOf),
      },
    ],
  };
}

/** Findings of all traces, each fingerprint once. */
function occurrences(report: Report): Occurrence[] {
  const byFingerprint = new Map<string, Occurrence>();
  for (const { facts, result, material } of report.traces) {
    result.findings.forEach((finding, index) => {
      const known = byFingerprint.get(finding.fingerprint);
      if (known !== undefined) known.count += finding.count;
      else {
        const count = finding.count;
        byFingerprint.set(finding.fingerprint, {
          facts,
          finding,
          material: material[index] ?? null,
          count,
        });
      }
    });
  }
  return [...byFingerprint.values()];
}

function resultOf({ finding, facts, material, count }: Occurrence): Result {
  const primary = primaryAccess(finding);
  const others = finding.accesses.filter((access) => access !== primary);
  const result: Result = {
    ruleId: finding.rule,
    ruleIndex: RULE_IDS.indexOf(finding.rule),
    level: finding.severity,
    kind: "fail",
    message: { text: messageText(finding, others, facts) },
    locations: [primary === null ? traceLocation(finding, facts) : accessLocation(primary)],
    partialFingerprints: { "quiesceFinding/v1": finding.fingerprint },
    occurrenceCount: Math.max(1, count),
    properties: {
      list: finding.list ?? undefined,
      node: finding.node?.name || undefined,
      trace: facts.trace,
      seed: facts.seed,
      replay: facts.replayCommand,
      advice: finding.advice?.text,
      luckyEdge: finding.luckyEdge ?? undefined,
    },
  };
  if (others.length > 0)
    result.relatedLocations = others.map((access, id) => ({
      id: id + 1,
      ...accessLocation(access),
    }));
  const steps = flowOf(finding, material);
  if (steps.length > 1) result.codeFlows = codeFlows(steps);
  return result;
}

/** The access that a reader must look at first: the uncovered read, or the only one there is. */
function primaryAccess(finding: Finding): Access | null {
  return finding.accesses.find(({ what }) => what === "read") ?? finding.accesses[0] ?? null;
}

function messageText(finding: Finding, others: readonly Access[], facts: RunFacts): string {
  const sentences = [stop(finding.title)];
  others.forEach((access, index) => {
    const within = access.operations.map(operationText).join(" < ");
    const detail = access.detail === "" ? `${access.what}s the list` : access.detail;
    sentences.push(
      `[The other access](${index + 1}), in ${functionOf(access.site)}${within === "" ? "" : ` within ${within}`}, ${detail}.`,
    );
  });
  if (finding.why !== "") sentences.push(`Why: ${stop(finding.why)}`);
  if (finding.advice !== null) sentences.push(`Advice: ${stop(finding.advice.text)}`);
  sentences.push(`Replay with: ${facts.replayCommand}`);
  return sentences.join(" ");
}

function stop(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

function accessLocation(access: Access): Location {
  const message = { text: `${access.what}, ${whoText(access)}, event ${grouped(access.event)}` };
  return { ...siteLocation(access.site), message };
}

function siteLocation(site: Site): Location {
  const logical = { logicalLocations: [{ name: functionOf(site), kind: "function" }] };
  if (site.file === "") return logical;
  const artifactLocation = { uri: encodeURI(site.file), uriBaseId: "%SRCROOT%" };
  const region = { startLine: Math.max(1, site.line) };
  return { physicalLocation: { artifactLocation, region }, ...logical };
}

/** Where a finding without an access is shown: at its trace. */
function traceLocation(finding: Finding, facts: RunFacts): Location {
  const name = listText(finding) || facts.scenario;
  const artifactLocation = { uri: encodeURI(facts.trace) };
  return {
    physicalLocation: { artifactLocation, region: { byteOffset: 0, byteLength: 0 } },
    logicalLocations: [{ name, kind: "member" }],
  };
}

function codeFlows(steps: readonly FlowStep[]): CodeFlow[] {
  const merged = steps.map((step, order) => flowLocation(step, order, true));
  const contexts = [...new Set(steps.map(({ ctx }) => ctx))];
  const threads = contexts.map((ctx) => {
    const own = steps.flatMap((step, order) =>
      step.ctx === ctx ? [flowLocation(step, order, false)] : [],
    );
    const name = must(
      steps.find((step) => step.ctx === ctx),
      "the context has a step",
    ).ctxName;
    return { id: name, message: { text: name }, locations: own };
  });
  const message = { text: "All contexts in execution order." };
  return [
    { message, threadFlows: [{ id: "all contexts", locations: merged }] },
    { message: { text: "One thread flow for each context." }, threadFlows: threads },
  ];
}

function flowLocation(step: FlowStep, order: number, isMerged: boolean): ThreadFlowLocation {
  const text = isMerged ? `${step.ctxName}: ${step.text}` : step.text;
  const location = step.site === null ? {} : siteLocation(step.site);
  return {
    executionOrder: order + 1,
    importance: step.access === null ? "important" : "essential",
    kinds: kindsOf(step),
    location: { ...location, message: { text } },
  };
}

/** The words of section 3.38.8 of the standard that fit a step. */
function kindsOf(step: FlowStep): string[] {
  const isBegin = step.nesting !== "end";
  if (step.kind === "lock") return [isBegin ? "acquire" : "release", "lock"];
  if (step.kind === "section") return [isBegin ? "enter" : "exit", "drain"];
  if (step.kind === "operation") return [isBegin ? "call" : "return", "function"];
  if (step.kind === "task") return [isBegin ? "enter" : "exit", "request"];
  return ["value"];
}
