// Running a case, without a test framework: under its own schedule, recorded twice and replayed; under random schedules with the
// same assertions; and each distinct run through the analyzer, whose findings must be those that the case declares.
//
// Runs in which the same events happen are analysed once. What went wrong comes back as sentences, each with the case, the
// schedule, the seed and the command that shows it again.

import { createHash } from "node:crypto";
import { type AnalysisResult, analyze, type Finding } from "#analyzer";
import { assert } from "#core/base";
import { EventBatch, siteTable } from "#core/probe";
import type { Polls } from "#core/sched";
import {
  findingFits,
  findingLine,
  headerOf,
  type RunOptions,
  recordScenario,
  recordTwice,
  runScenario,
  type Scenario,
  type SchedulerName,
} from "#explorer";
import { MemorySink, Recorder, type Sink } from "#tracer";
import { bytesSource, FORMAT_VERSION, TraceReader } from "#traces";
import { roundTripOf } from "../../record-replay/round-trip.ts";
import type { DeclaredFinding, QemuCase } from "./case.ts";
import { CaseFailure, CaseTest } from "./case-test.ts";

/** Seed of the run under the own schedule. */
const OWN_SEED = 1;
/** Steps after which a run is called endless; the longest case takes some ten thousand. */
const STEPS_MAX = 1_000_000;

/** What to run a case with. */
export interface CaseOptions {
  /** How many random schedules, seeds 1 to that. */
  readonly schedules: number;
  /** Whether findings declared as "sometimes" must have been seen: not with a handful of schedules. */
  readonly wantsAll?: boolean;
  /** Whether the run under the own schedule is recorded a second time and replayed; false where another test has done that. */
  readonly roundTrip?: boolean;
}

/** How a case came out. */
export interface CaseResult {
  readonly name: string;
  /** What went wrong, a sentence each; none when it passes. */
  readonly problems: readonly string[];
  /** Events under the own schedule. */
  readonly events: number;
  readonly schedules: number;
  /** How many of all runs differ in their events. */
  readonly distinct: number;
  /** Findings as lines, with the number of distinct runs that have them. */
  readonly findings: readonly { readonly line: string; readonly runs: number }[];
}

/** The scenario that a case's body is; its parameter says which schedule it runs under. */
export function scenarioOf(qemuCase: QemuCase): Scenario {
  const { name, body, disk } = qemuCase;
  assert(body !== undefined, "a case that applies has a body");
  return {
    name,
    title: name,
    params: { schedule: "own" },
    stepsMax: STEPS_MAX,
    ...(disk === undefined ? {} : { disk }),
    *main(world): Polls<void> {
      const t = new CaseTest(qemuCase, world);
      yield* body(t);
      yield* t.leaveNothing();
    },
  };
}

/** Run `qemuCase` in all the ways that it must pass. */
export function runCase(qemuCase: QemuCase, options: CaseOptions): CaseResult {
  const judge = new Judge(qemuCase);
  const { wantsAll = true, roundTrip = true } = options;
  const events = runOwn(qemuCase, judge, roundTrip);
  for (let seed = 1; seed <= options.schedules && judge.problems.length === 0; seed++)
    runRandom(qemuCase, seed, judge);
  if (judge.problems.length === 0) judge.lookForMissing(wantsAll);
  return {
    name: qemuCase.name,
    problems: judge.problems,
    events,
    schedules: options.schedules,
    distinct: judge.distinct,
    findings: judge.findings(),
  };
}

/**
 * Recorded and analysed; with `roundTrip` recorded twice with equal bytes, and replayed from its inputs and from the full
 * recording. Returns how many events.
 */
function runOwn(qemuCase: QemuCase, judge: Judge, roundTrip: boolean): number {
  const scenario = scenarioOf(qemuCase);
  const scheduler = qemuCase.schedule ?? "default";
  try {
    const options = { ...optionsOf(qemuCase, OWN_SEED), scheduler };
    const run = (roundTrip ? recordTwice : recordScenario)(scenario, options);
    judge.ended(run.outcome, run.machine.assertion?.message, "own", OWN_SEED);
    const problem = roundTrip ? roundTripOf(scenario, run.bytes).problem : "";
    if (problem !== "") judge.objectTo(problem, "own", OWN_SEED);
    const reader = TraceReader.open(bytesSource(run.bytes));
    // The reader's batches are read one by one: it uses its buffer again for the next.
    judge.analyse(() => reader.batches(), reader.strings, "own", OWN_SEED);
    return run.events;
  } catch (error) {
    judge.failed(error, "own", OWN_SEED);
    return 0;
  }
}

/** The strategy of random schedule number `seed`: three of four switch by chance, the fourth has priorities. */
export function schedulerOf(seed: number): SchedulerName {
  return seed % 4 === 0 ? "pct" : "random";
}

function runRandom(qemuCase: QemuCase, seed: number, judge: Judge): void {
  const sink = new KeepingSink();
  const probe = new Recorder(sink);
  const scheduler = schedulerOf(seed);
  const params = { schedule: "random" };
  const options = { ...optionsOf(qemuCase, seed), params, scheduler, probe };
  try {
    const run = runScenario(scenarioOf(qemuCase), options);
    probe.close();
    judge.ended(run.outcome, run.machine.assertion?.message, "random", seed);
    judge.analyse(() => sink.batches, sink.strings, "random", seed);
  } catch (error) {
    judge.failed(error, "random", seed);
  }
}

/**
 * Record one run of `qemuCase`, under its own schedule or the random one of a seed, whether it passes or not: the trace, the
 * problem ("" for none) and the lines of what the analyzer finds.
 */
export function recordCase(
  qemuCase: QemuCase,
  which: "own" | number,
): { readonly bytes: Uint8Array; readonly problem: string; readonly findings: readonly string[] } {
  const scenario = scenarioOf(qemuCase);
  const isOwn = which === "own";
  const params = { schedule: isOwn ? "own" : "random" };
  const options = { ...optionsOf(qemuCase, isOwn ? OWN_SEED : which), params };
  const sink = new MemorySink(
    headerOf(scenario, options, {
      host: "simulated",
      level: "full",
      coreVersion: "",
      formatVersion: FORMAT_VERSION,
      provenance: { createdAt: "", host: "", node: "", quiesce: "" },
    }),
  );
  const probe = new Recorder(sink);
  const scheduler = isOwn ? (qemuCase.schedule ?? "default") : schedulerOf(which);
  let problem = "";
  try {
    const { outcome } = runScenario(scenario, { ...options, scheduler, probe });
    if (outcome !== (qemuCase.ends ?? "ok")) problem = `the run ended with "${outcome}"`;
  } catch (error) {
    problem = error instanceof CaseFailure ? error.message : ((error as Error).stack ?? "");
  }
  probe.close();
  const bytes = sink.bytes();
  const reader = TraceReader.open(bytesSource(bytes));
  const result = analyze({
    batches: reader.batches(),
    sites: siteTable,
    strings: reader.strings,
  });
  return { bytes, problem, findings: result.findings.map(findingLine) };
}

/** What a run of `qemuCase` is asked for. */
export function optionsOf(qemuCase: QemuCase, seed: number): RunOptions {
  const { without = [], lock = "none", breaksInvariants } = qemuCase;
  return { seed, without, lock, checkInvariants: breaksInvariants === undefined };
}

/** Keeps all batches. */
class KeepingSink implements Sink {
  readonly batches: EventBatch[] = [];
  strings: readonly string[] = [];

  write(batch: EventBatch, strings: readonly string[]): void {
    this.batches.push(batch);
    this.strings = strings;
  }

  nextBatch(): EventBatch {
    return new EventBatch(2048);
  }

  close(): void {}
}

type ScheduleKind = "own" | "random";

/** Collects what is wrong with the runs of a case, and what was found in them. */
class Judge {
  readonly problems: string[] = [];
  readonly #case: QemuCase;
  readonly #seen = new Set<string>();
  readonly #runsOf = new Map<string, number>();

  constructor(qemuCase: QemuCase) {
    this.#case = qemuCase;
  }

  get distinct(): number {
    return this.#seen.size;
  }

  objectTo(what: string, schedule: ScheduleKind, seed: number): void {
    this.problems.push(
      `${whereOf(this.#case, schedule, seed)}: ${what}. ${againOf(this.#case, schedule, seed)}`,
    );
  }

  failed(error: unknown, schedule: ScheduleKind, seed: number): void {
    const text =
      error instanceof CaseFailure ? error.message : ((error as Error).stack ?? String(error));
    this.objectTo(text, schedule, seed);
  }

  ended(
    outcome: string,
    assertion: string | undefined,
    schedule: ScheduleKind,
    seed: number,
  ): void {
    const { ends = "ok" } = this.#case;
    if (outcome === ends) return;
    const failed = assertion === undefined ? "" : ` (${assertion})`;
    this.objectTo(`the run ended with "${outcome}"${failed}, not with "${ends}"`, schedule, seed);
  }

  analyse(
    batches: () => Iterable<EventBatch>,
    strings: readonly string[],
    schedule: ScheduleKind,
    seed: number,
  ): void {
    const digest = digestOf(batches());
    if (this.#seen.has(digest)) return;
    this.#seen.add(digest);
    const result: AnalysisResult = analyze({ batches: batches(), strings, sites: siteTable });
    if (!result.complete) this.objectTo("the recording is not complete", schedule, seed);
    this.#compare(result.findings, schedule, seed);
  }

  #compare(findings: readonly Finding[], schedule: ScheduleKind, seed: number): void {
    const declared = this.#case.findings ?? [];
    const lines = [...new Set(findings.map(findingLine))];
    for (const line of lines) this.#runsOf.set(line, (this.#runsOf.get(line) ?? 0) + 1);
    const undeclared = lines.filter((line) => !declared.some((one) => findingFits(one, line)));
    if (undeclared.length > 0)
      this.objectTo(
        `the analyzer finds what is not declared:\n  ${undeclared.join("\n  ")}\n`,
        schedule,
        seed,
      );
    for (const one of declared) {
      if (one.when === "always" && !lines.some((line) => findingFits(one, line)))
        this.objectTo(`the analyzer does not find ${nameOf(one)}`, schedule, seed);
    }
  }

  /** What is declared must have been seen somewhere. */
  lookForMissing(wantsAll: boolean): void {
    for (const one of this.#case.findings ?? []) {
      if (one.when === "rarely" || !wantsAll) continue;
      if ([...this.#runsOf.keys()].some((line) => findingFits(one, line))) continue;
      this.problems.push(
        `${this.#case.name}: in no schedule does the analyzer find ${nameOf(one)}.`,
      );
    }
  }

  findings(): CaseResult["findings"] {
    return [...this.#runsOf].map(([line, runs]) => ({ line, runs }));
  }
}

function nameOf({ why: _why, when: _when, ...finding }: DeclaredFinding): string {
  return JSON.stringify(finding);
}

/** Which run this is. */
function whereOf({ name }: QemuCase, schedule: ScheduleKind, seed: number): string {
  return schedule === "own" ? `${name}, own schedule` : `${name}, random schedule of seed ${seed}`;
}

/** The command that runs it again. */
function againOf({ name }: QemuCase, schedule: ScheduleKind, seed: number): string {
  const which = schedule === "own" ? "--own" : `--seed ${seed}`;
  return `Again: npm run build && node dist/scripts/qemu-tests.js --case "${name}" ${which} -o case.trace`;
}

/** A digest of all events; strings come in the order of their first use, and follow from the events' numbers and the case. */
function digestOf(batches: Iterable<EventBatch>): string {
  const hash = createHash("sha1");
  for (const { ints, count } of batches)
    hash.update(new Uint8Array(ints.buffer, ints.byteOffset, count * 32));
  return hash.digest("hex");
}
