// Replay is quick: events a second re-executed, from an inputs and from a full recording of the demo; bench/replay.md.

import { readFileSync } from "node:fs";
import { NullProbe } from "#core/probe";
import { inputsOf, recordScenario, runScenario, SCENARIOS, worldBuilder } from "#explorer";
import { replayTrace } from "#replay";
import { bytesSource, TraceReader } from "#traces";

const ROUNDS = 9;

const demo = SCENARIOS.find(({ name }) => name === "demo");
if (demo === undefined) throw new Error("the demo is built in");
const buildWorld = worldBuilder(() => demo);
const full = recordScenario(demo, { seed: 5 }).bytes;
const inputs = inputsOf(full);

const seconds = { simulated: [] as number[], inputs: [] as number[], full: [] as number[] };
let events = 0;
for (let round = 0; round < ROUNDS; round++) {
  seconds.simulated.push(time(() => runScenario(demo, { seed: 5, probe: new NullProbe() })));
  seconds.inputs.push(time(() => replay(inputs)));
  seconds.full.push(time(() => replay(full)));
}

const stored = JSON.parse(readFileSync("bench/baseline/replay.json", "utf8")) as Record<
  string,
  number
>;
const measured: Record<string, number> = {
  "million events/s, from inputs": events / median(seconds.inputs) / 1e6,
  "million events/s, from full": events / median(seconds.full) / 1e6,
  "time of a replay from inputs / of the simulated run":
    median(seconds.inputs) / median(seconds.simulated),
  "time of a replay from full / of the simulated run":
    median(seconds.full) / median(seconds.simulated),
};
for (const [name, value] of Object.entries(measured)) {
  process.stdout.write(`${name}: ${value.toFixed(2)} (stored ${stored[name] ?? "none"})\n`);
}
if (process.argv.includes("--json")) process.stdout.write(`${JSON.stringify(measured, null, 2)}\n`);

function replay(bytes: Uint8Array): void {
  const report = replayTrace(TraceReader.open(bytesSource(bytes)), { buildWorld });
  if (!report.identical) throw new Error("the replay is identical");
  events = report.events;
}

function time(body: () => void): number {
  const from = process.hrtime.bigint();
  body();
  return Number(process.hrtime.bigint() - from) / 1e9;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;
}
