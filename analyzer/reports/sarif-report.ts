// SARIF 2.1.0, for code scanning and editors: one run, one result for each fingerprint.
//
// A finding has two places. GitHub uses only the first location, so that is the uncovered read; the other access is a related
// location, and the message links to it. Viewers differ in what they do with threads: most show only the first thread
// flow of a code flow. So codeFlows[0] is the whole story merged in execution order, each message with its context in front, and
// codeFlows[1] the same story with a thread flow for each context, as the standard intends. Paths are relative to
// %SRCROOT%, which the consumer sets; nothing of the machine that wrote the file is in it.

import { gzipSync } from "node:zlib";
import type {
  CodeFlow,
  Location,
  Log,
  PropertyBag,
  Result,
  Run,
  Stack,
  ThreadFlowLocation,
} from "sarif";
import { must } from "#core/base";
import {
  type Access,
  type AnalysisResult,
  FINGERPRINT_VERSION,
  type Finding,
  fingerprintOf,
  type PolicyJudgement,
  type Site,
  sideOf,
} from "../findings.ts";
import { POLICIES } from "../policies/policy.ts";
import { RULE_IDS } from "../rules.ts";
import { type FlowStep, flowOf } from "./flow.ts";
import { type Occurrence, occurrences } from "./occurrences.ts";
import { primaryAccess } from "./primary.ts";
import { FINDING_PRINT, type Report, type RunFacts } from "./report.ts";
import { sarifRules } from "./sarif-rules.ts";
import { momentOf, type Stacks } from "./stacks.ts";
import { isNew } from "./standing.ts";
import {
  againText,
  counted,
  functionOf,
  grouped,
  listText,
  operationText,
  whoText,
} from "./words.ts";

/** What the command line adds to the log. */
export interface SarifExtras {
  /** The process's exit code, as the log's invocation states it. */
  readonly exitCode: number;
}

/** The report as a SARIF log. */
export function sarifReport(
  report: Report,
  extras: SarifExtras,
  limits: Limits = GITHUB_LIMITS,
): Log {
  const all = worstFirst(occurrences(report));
  const kept = all.slice(0, limits.results);
  const notes: string[] = [];
  if (kept.length < all.length) {
    const left = counted(all.length - kept.length, "finding");
    notes.push(
      `${left} more than the ${limits.results} that code scanning shows ${all.length - kept.length === 1 ? "is" : "are"} left out; --json lists all of them.`,
    );
  }
  const log = logOf(report, extras, kept.map(resultOf), notes);
  return withinBytes(log, limits.gzipBytes);
}

/** What GitHub's code scanning takes of one file: results that it shows, and bytes of the file when compressed. */
export const GITHUB_LIMITS = { results: 5_000, gzipBytes: 10_000_000 } as const;
type Limits = { readonly results: number; readonly gzipBytes: number };

/** New ones first: where not all fit, what was known is the least loss. The order of the report otherwise. */
function worstFirst(all: readonly Occurrence[]): Occurrence[] {
  return [
    ...all.filter(({ standing }) => isNew(standing)),
    ...all.filter(({ standing }) => !isNew(standing)),
  ];
}

/** `log` without the code flows and stacks of its last results, as many as is needed to fit. */
function withinBytes(log: Log, bytes: number): Log {
  const run = must(log.runs[0], "one run");
  const results = run.results ?? [];
  let bare = 0;
  while (bare < results.length && !fits(log, bytes)) {
    const next = Math.min(results.length, Math.max(1, bare * 2));
    for (const result of results.slice(results.length - next)) {
      delete result.codeFlows;
      delete result.stacks;
    }
    bare = next;
  }
  if (bare > 0)
    notify(
      run,
      `${counted(bare, "result")} at the end have no code flows and stacks: the file would be too large for code scanning.`,
    );
  return log;
}

function fits(log: Log, bytes: number): boolean {
  const text = JSON.stringify(log);
  return Buffer.byteLength(text) <= bytes || gzipSync(text).length <= bytes;
}

function notify(run: Run, text: string): void {
  run.invocations?.[0]?.toolExecutionNotifications?.push({ level: "note", message: { text } });
}

function logOf(
  report: Report,
  { exitCode }: SarifExtras,
  results: Result[],
  notes: readonly string[],
): Log {
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
            rules: sarifRules(report.ruleHelp),
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
            toolExecutionNotifications: [...remarksOf(report), ...notes].map((text) => ({
              level: "note" as const,
              message: { text },
            })),
          },
        ],
        results,
        ...tablesOf(report),
      },
    ],
  };
}

/** Of each trace what was asked for beside findings: the cost of its drains, and how many findings each policy has of each rule. */
function tablesOf({ traces }: Report): { properties?: PropertyBag } {
  const drains = traces.flatMap(({ facts, result }) =>
    (result.drains ?? []).map((row) => ({ trace: facts.trace, ...row })),
  );
  const policies = traces.flatMap(({ facts, result: { policies: all = [] } }) =>
    all.length < 2 ? [] : all.map((one) => ({ trace: facts.trace, ...policySums(one) })),
  );
  const tables = {
    ...(drains.length === 0 ? {} : { drains }),
    ...(policies.length === 0 ? {} : { policies }),
  };
  return Object.keys(tables).length === 0 ? {} : { properties: tables };
}

function policySums({ policy, silence, findings }: PolicyJudgement): PropertyBag {
  const rules = RULE_IDS.map((rule) => [
    rule,
    findings.filter((finding) => finding.rule === rule).length,
  ]);
  const found = Object.fromEntries(rules.filter(([, count]) => count !== 0));
  return {
    policy,
    title: POLICIES[policy].title,
    ...(silence === "" ? { findings: findings.length, rules: found } : { notJudged: silence }),
  };
}

/** The policies of a comparison that have this finding, too. */
function policiesWith({ policies = [] }: AnalysisResult, { fingerprint }: Finding): string[] {
  if (policies.length < 2) return [];
  return policies
    .filter(({ findings }) => findings.some((finding) => finding.fingerprint === fingerprint))
    .map(({ policy }) => policy);
}

/** What there is to say of the traces, the baseline and the suppressions. */
function remarksOf({ traces, triage }: Report): string[] {
  const notes = traces.flatMap(({ facts, result }) =>
    result.notes.map((note) => `${facts.trace}: ${note}`),
  );
  const gone = triage?.absent ?? [];
  const absent = gone.map(
    ({ fingerprint, rule }) => `${fingerprint} (${rule}) of the baseline did not occur any more.`,
  );
  return [...notes, ...(triage?.remarks ?? []), ...absent];
}

function resultOf({ finding, trace, index, standing, count }: Occurrence): Result {
  const { facts, stacks } = trace;
  const primary = primaryAccess(finding);
  const others = finding.accesses.filter((access) => access !== primary);
  const policies = policiesWith(trace.result, finding);
  const result: Result = {
    ruleId: finding.rule,
    ruleIndex: RULE_IDS.indexOf(finding.rule),
    level: finding.severity,
    kind: "fail",
    message: { text: messageText(finding, others, facts) },
    locations: [locationOf(finding, primary, facts)],
    partialFingerprints: partialFingerprints(finding),
    occurrenceCount: Math.max(1, count),
    properties: {
      list: finding.list ?? undefined,
      node: finding.node?.name || undefined,
      trace: facts.trace,
      seed: facts.seed,
      replay: againText(facts, finding),
      advice: finding.advice?.text,
      luckyEdge: finding.luckyEdge ?? undefined,
      raceWithout: finding.raceWithout,
      consequenceOf: finding.consequenceOf,
      ...(policies.length === 0 ? {} : { policies }),
    },
  };
  if (standing.baseline !== null) result.baselineState = standing.baseline;
  if (standing.suppression !== null) {
    const { reason, place } = standing.suppression;
    result.suppressions = [
      { kind: "external", status: "accepted", justification: `${reason} (${place})` },
    ];
  }
  if (others.length > 0)
    result.relatedLocations = others.map((access, id) => ({
      id: id + 1,
      ...accessLocation(access),
    }));
  const calls = stacks === undefined ? [] : stacksOf(finding, stacks);
  if (calls.length > 0) result.stacks = calls;
  const steps = flowOf(finding, trace.material[index] ?? null);
  if (steps.length > 1) result.codeFlows = codeFlows(steps);
  return result;
}

/**
 * GitHub knows a finding again by primaryLocationLineHash alone, and would compute it from the text of one of the two lines. The
 * pair hash knows neither rule nor operations: it stays when a race becomes a covered-by-luck, or is met through another caller.
 */
function partialFingerprints(finding: Finding): Record<string, string> {
  const prints = {
    primaryLocationLineHash: `${finding.fingerprint}:1`,
    [FINDING_PRINT]: finding.fingerprint,
  };
  if (finding.accesses.length !== 2) return prints;
  const sides = finding.accesses.map((access) => sideOf({ ...access, operations: [] }));
  return {
    ...prints,
    [`racePairHash/v${FINGERPRINT_VERSION}`]: fingerprintOf("race", finding.list, sides),
  };
}

/** The stack at each access, and at the event where the finding shows when that is none of them. */
function stacksOf(finding: Finding, stacks: Stacks): Stack[] {
  const own = finding.accesses.flatMap((access) =>
    stackOf(access.event, `${access.what}, ${whoText(access)}`, stacks),
  );
  const moment = momentOf(finding);
  return moment === null ? own : [...own, ...stackOf(moment, `event ${grouped(moment)}`, stacks)];
}

function stackOf(event: number, text: string, stacks: Stacks): Stack[] {
  const frames = stacks.get(event) ?? [];
  if (frames.length === 0) return [];
  return [
    {
      message: { text },
      frames: frames.map(({ function: name, file, line }) => {
        return { location: siteLocation({ name, file, line }) };
      }),
    },
  ];
}

function messageText(finding: Finding, others: readonly Access[], facts: RunFacts): string {
  const sentences = [stop(literal(finding.title))];
  others.forEach((access, index) => {
    const within = access.operations.map(operationText).join(" < ");
    const detail = access.detail === "" ? `${access.what}s the list` : access.detail;
    const where = `${functionOf(access.site)}${within === "" ? "" : ` within ${within}`}`;
    sentences.push(`[The other access](${index + 1}), ${literal(`in ${where}, ${detail}`)}.`);
  });
  if (finding.why !== "") sentences.push(`Why: ${stop(literal(finding.why))}`);
  if (finding.advice !== null) sentences.push(`Advice: ${stop(literal(finding.advice.text))}`);
  const again = facts.firstEvent === undefined ? "Replay with" : "See it with";
  sentences.push(`${again}: ${literal(againText(facts, finding))}`);
  return sentences.join(" ");
}

/** Text in which no name is taken for a link (section 3.11.6 of the standard). */
function literal(text: string): string {
  return text.replace(/\[(?=[^[\]]*\]\()/g, "\\[");
}

/** A path as a relative reference: whatever a file is called, it is no scheme, query or fragment. */
function uriOf(path: string): string {
  return path.split("/").map(encodeURIComponent).join("/");
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
  const artifactLocation = { uri: uriOf(site.file), uriBaseId: "%SRCROOT%" };
  const region = { startLine: Math.max(1, site.line) };
  return { physicalLocation: { artifactLocation, region }, ...logical };
}

/** Where a finding is shown: at its access, at the function that its rule points at, or at its trace. */
function locationOf(finding: Finding, primary: Access | null, facts: RunFacts): Location {
  if (primary !== null) return accessLocation(primary);
  const { site } = finding;
  return site === null || site.file === "" ? traceLocation(finding, facts) : siteLocation(site);
}

/** Where a finding about no function is shown. */
function traceLocation(finding: Finding, facts: RunFacts): Location {
  const name = listText(finding) || facts.scenario;
  const artifactLocation = { uri: uriOf(facts.trace) };
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
